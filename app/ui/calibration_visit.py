"""The calibration window from opening to closing, between two runs of the loop."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

from PySide6.QtCore import QCoreApplication, QEvent

from app.config import NOMINAL, RigConfig
from app.rig.calibration_bench import calibration_bench, expected_um_per_px, known_calibration
from app.rig.practice import NOTE, practices, with_practice_file
from app.ui.calibration_wizard import CalibrationWizard
from app.ui.calibration_workshop import Workshop
from app.ui.session import SIZE, application
from calibration.errors import CalibrationError
from calibration.store import load_calibration


def is_uncalibrated(config: RigConfig) -> bool:
    """Whether the rig names a file that is not there yet, or lacks the stage: a new rig.

    A broken file, or one of something else, is no new rig: a person has to look at it.
    """
    if config.calibration == NOMINAL:
        return False
    path = Path(config.calibration)
    try:
        return not path.exists() or load_calibration(path).image is None
    except CalibrationError:
        return False


def visit(config: RigConfig, notice: str = "") -> int:
    """Let a person calibrate until the window is closed; nothing else may use the instruments.

    Returns
    -------
    int
        How many results were kept.

    Raises
    ------
    KeyboardInterrupt
        The program was interrupted; what moved is at rest.
    """
    qt = application()
    wizard = CalibrationWizard(workshop_of(config), notice)
    wizard.resize(*SIZE)
    interrupted = False

    def interrupt(_: int, __: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        wizard.close()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        wizard.finished.connect(qt.quit)
        wizard.show()
        wizard.activateWindow()  # keys reach Stop only in a window that is active
        qt.exec()
    finally:
        signal.signal(signal.SIGINT, before)
    kept = wizard.kept
    wizard.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    if interrupted:
        raise KeyboardInterrupt
    return kept


def workshop_of(config: RigConfig) -> Workshop:
    """Return what the calibration window needs of a rig.

    The simulated rig is calibrated as a new one would be, into a file for practice.
    """
    note = NOTE if practices(config) else ""
    config = with_practice_file(config)
    return Workshop(
        name=config.name,
        objective=config.objective,
        open_bench=lambda procedure: calibration_bench(config, procedure),
        expected_um_per_px=expected_um_per_px(config),
        known=lambda: known_calibration(config),
        note=note,
    )
