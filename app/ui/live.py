"""The verb ``live``: the loop with its window, on a screen or off it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from app.config import ConfigError, RigConfig, VideoCameraConfig
from app.core.messages import Snapshot
from app.rig import build_rig
from app.runtime.devices import Rig
from app.runtime.engine import Engine
from app.ui import display
from app.ui.load import Load
from app.ui.loop import RigView
from app.ui.operator import Operator, arming, parse_follow

if TYPE_CHECKING:
    from app.ui.session import LiveSession

RUNS: Final = Path("runs")
Result = dict[str, object]


def print_line(text: str) -> None:
    """Print one line on standard error."""
    print(text, file=sys.stderr, flush=True)


def run_live(
    config: RigConfig,
    *,
    headless_s: float | None = None,
    follow: str = "none",
    out: Path | None = None,
    variant: str | None = None,
    device: str | None = None,
    progress: Callable[[str], None] = print_line,
) -> Result:
    """Run a rig until its window is closed, or for a time without a screen.

    Headless, picture and marks are drawn all the same, at the full rate, into a window that nobody
    sees; and the objective of the rig file is taken as confirmed.

    Parameters
    ----------
    config : RigConfig
    headless_s : float or None
        Seconds to run without a screen; None opens the window.
    follow : str
        'best', 'none' or the number of a track. With a screen, a person still arms.
    out : Path or None
        Folder for the sessions' records; ./runs without.
    variant, device : str or None
        Instead of those of ``config``.
    progress : callable
        Takes a line a second.

    Returns
    -------
    dict
        The figures of the verb ``live``, ``out`` and, headless, ``picture``.

    Raises
    ------
    ConfigError, DeviceError, ModelError, CalibrationError
        What the user can mend, in one line.
    """
    return _run(config, headless_s, follow, out, variant, device, progress, None)


def bench_live(
    config: RigConfig, *, seconds: float, progress: Callable[[str], None] = print_line
) -> Result:
    """Run the loop headless, following the best, and watch processor and memory."""
    load = Load()
    result = _run(config, seconds, "best", None, None, None, progress, load)
    return result | load.result()


def _run(
    config: RigConfig,
    headless_s: float | None,
    follow: str,
    out: Path | None,
    variant: str | None,
    device: str | None,
    progress: Callable[[str], None],
    load: Load | None,
) -> Result:
    try:
        wanted = parse_follow(follow)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    config = _with_network(config, variant, device)
    display.prepare(headless=headless_s is not None)
    # Qt last: only now is it known that its libraries are there.
    from app.ui.session import LiveSession, application

    application()
    progress(f"{config.name}: starting {config.network.detector}, camera and instruments")
    rig = build_rig(config)
    try:
        engine = Engine(rig, out=RUNS if out is None else out)
    except BaseException:
        rig.close()
        raise
    try:
        engine.start()
        view = rig_view(rig)
        session = LiveSession(engine, view, headless=headless_s is not None)
        arm = None
        if headless_s is not None and rig.stage is not None:
            arm = arming(engine, config.objective)
        operator = Operator(engine, wanted, arm)
        run = _Run(engine, session, operator, headless_s, progress, load)
        if arm is not None and follow != "none":
            progress(f"headless: the {config.objective} objective of the rig is confirmed unseen")
        interrupted = run.until_done()
        picture = session.save_picture(engine.folder) if headless_s is not None else None
        session.close()
    finally:
        engine.stop()
    if engine.failure is not None and engine.faults:
        raise engine.failure
    if interrupted:
        raise KeyboardInterrupt
    result = engine.statistics() | {"out": None if engine.folder is None else str(engine.folder)}
    return result if picture is None else result | {"picture": str(picture)}


def rig_view(rig: Rig) -> RigView:
    """Return what the window is told of a rig."""
    camera = rig.config.camera
    stated = isinstance(camera, VideoCameraConfig) and camera.um_per_px is not None
    return RigView(
        name=rig.config.name,
        objective=rig.config.objective,
        image_to_stage=rig.image_to_stage,
        calibrated=rig.calibration is not None or stated,
        has_stage=rig.stage is not None,
    )


def describe(snapshot: Snapshot, elapsed_s: float, age_s: float) -> str:
    """Write the line of a second."""
    motion = snapshot.motion
    state = motion.mode.value if motion.target is None else f"{motion.mode.value} {motion.target}"
    return (
        f"{elapsed_s:5.0f} s  {snapshot.fps:5.1f} frames/s  age {age_s * 1e3:4.0f} ms  "
        f"lost {snapshot.dropped}  sperm {len(snapshot.tracks)}  {state}"
        + (f": {motion.reason}" if motion.reason else "")
    )


class _Run:
    """One run of the loop under a window: its operator, its progress, its end."""

    def __init__(
        self,
        engine: Engine,
        session: LiveSession,
        operator: Operator,
        headless_s: float | None,
        progress: Callable[[str], None],
        load: Load | None,
    ) -> None:
        self._engine = engine
        self._session = session
        self._operator = operator
        self._headless_s = headless_s
        self._progress = progress
        self._load = load
        self._started_s = time.perf_counter()
        self._told_s = 0.0
        self._interrupted = False

    def until_done(self) -> bool:
        """Run until the time is over, the window closed or the program interrupted.

        Returns
        -------
        bool
            Whether it was interrupted.
        """
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self._session.run(self._tick)
        finally:
            signal.signal(signal.SIGINT, before)
        return self._interrupted

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        self._interrupted = True
        self._session.quit()

    def _tick(self) -> None:
        """Look after the run; called several times a second on the window's thread."""
        now_s = time.perf_counter()
        elapsed_s = now_s - self._started_s
        snapshot = self._engine.latest()
        if snapshot is not None:
            self._operator.look(snapshot, now_s)
        if elapsed_s - self._told_s >= 1.0:
            self._told_s = elapsed_s
            if self._headless_s is not None and snapshot is not None:
                age_s = now_s - snapshot.frame.time_s
                self._progress(describe(snapshot, elapsed_s, age_s))
            if self._load is not None:
                self._load.sample(elapsed_s, self._headless_s or elapsed_s)
        if self._headless_s is not None:
            over = elapsed_s >= self._headless_s or self._engine.ended
            if over or (self._engine.failure is not None and self._engine.faults):
                self._session.quit()


def _with_network(config: RigConfig, variant: str | None, device: str | None) -> RigConfig:
    """Replace the network's variant and device where others are asked for."""
    changes = {"variant": variant, "device": device}
    network = config.network.model_copy(update={k: v for k, v in changes.items() if v is not None})
    return config.model_copy(update={"network": network})
