"""The verb ``live``: the loop with its window, on a screen or off it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, Literal

from app.config import ConfigError, RigConfig, VideoCameraConfig, with_network
from app.core.messages import Mode, Snapshot
from app.records.criteria import load_criteria
from app.records.store import RUNS
from app.rig import build_rig
from app.runtime.devices import Rig
from app.runtime.engine import Engine
from app.runtime.operator import ScriptedOperator
from app.ui import display
from app.ui.load import Load
from app.ui.loop import RigView
from app.ui.warm_up import FIRST_START, WARM_UP_S, progress_line
from calibration.errors import CalibrationError
from drivers.errors import DeviceError

if TYPE_CHECKING:
    from app.ui.session import LiveSession

WARM_TOLD_S: Final = 15.0
"""Between two lines that say that it still warms up."""
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
    record: bool = False,
    progress: Callable[[str], None] = print_line,
) -> Result:
    """Run a rig until its window is closed, or for a time without a screen.

    Headless, picture and marks are drawn all the same, at the full rate, into a window that nobody
    sees; and the objective of the rig file is taken as confirmed.

    Parameters
    ----------
    config : RigConfig
    headless_s : float or None
        Seconds to run without a screen, from the first frame on; None opens the window.
    follow : str
        'best', 'none' or the number of a track. With a screen, a person still arms.
    out : Path or None
        Folder for the sessions' records; ./runs without.
    variant, device : str or None
        Instead of those of ``config``.
    record : bool
        Keep the film of what the camera sees, and the poses, in the record.
    progress : callable
        Takes a line a second.

    Returns
    -------
    dict
        The figures of the verb ``live``, ``out`` and, headless, ``picture`` and, where somebody
        was to be followed, ``ok``: whether anybody ever was.

    Raises
    ------
    ConfigError, DeviceError, ModelError, CalibrationError
        What the user can mend, in one line.
    """
    config = with_network(config, variant, device)
    if parse_follow(follow) != "none" and config.stage is None:
        raise ConfigError(
            f"--follow {follow}: {config.name} has no stage that could follow; add [stage] to the "
            "rig file, or leave --follow out"
        )
    return _run(config, headless_s, follow, out or RUNS, record, progress, None)


def bench_live(
    config: RigConfig, *, seconds: float, progress: Callable[[str], None] = print_line
) -> Result:
    """Run the loop headless, following the best, and watch processor and memory."""
    load = Load()
    follow = "none" if config.stage is None else "best"
    result = _run(config, seconds, follow, RUNS, False, progress, load)
    return result | load.result()


def _run(
    config: RigConfig,
    headless_s: float | None,
    follow: str,
    out: Path,
    record: bool,
    progress: Callable[[str], None],
    load: Load | None,
) -> Result:
    wanted = parse_follow(follow)
    display.prepare(headless=headless_s is not None)
    # Qt last: only now is it known that its libraries are there.
    from app.ui.calibration_visit import is_uncalibrated, visit

    while True:
        try:
            result, calibrates = _round(config, headless_s, wanted, out, record, progress, load)
        except CalibrationError as error:
            # A new rig is calibrated first; a broken file, or a run without a person, is not.
            if headless_s is not None or not is_uncalibrated(config):
                raise
            if not visit(config, str(error)):
                raise
            continue
        if not calibrates:
            return result
        visit(config)
        wanted = "none"


def _round(
    config: RigConfig,
    headless_s: float | None,
    wanted: Literal["best", "none"] | int,
    out: Path,
    record: bool,
    progress: Callable[[str], None],
    load: Load | None,
) -> tuple[Result, bool]:
    """Run the loop once; return its figures, and whether the rig is to be calibrated now."""
    from app.ui.session import LiveSession, Splash, application

    starting = f"{config.name}: starting {config.network.detector}, camera and instruments"
    progress(starting)
    application()
    splash = Splash(f"{starting}\n\n{FIRST_START}") if headless_s is None else None
    try:
        rig = build_rig(config)
    except BaseException:
        if splash is not None:
            splash.finish()
        raise
    try:
        engine = Engine(rig, out=out, record=record)
    except BaseException:
        rig.close()
        raise
    try:
        engine.start()
        view = rig_view(rig)
        session = LiveSession(engine, view, headless=headless_s is not None)
        if splash is not None:
            splash.finish()
        operator = ScriptedOperator(engine, config.objective, wanted)
        run = _Run(engine, session, operator, headless_s, progress, load)
        if wanted != "none" and headless_s is not None:
            progress(f"headless: the {config.objective} objective of the rig is confirmed unseen")
        elif wanted != "none":
            session.window.controller.arm()
        if record and engine.folder is not None:
            progress(f"recording into {engine.folder}")
        session.window.controller.calibration_asked.connect(run.calibrate)
        interrupted = run.until_done()
        result = engine.statistics()
        if wanted != "none" and headless_s is not None:
            result["ok"] = run.followed
            # What ended the run is told as its error.
            if not run.followed and engine.failure is None:
                why = engine.motion.reason or _why_nobody(engine.latest(), result)
                where = "" if engine.folder is None else f"; see {engine.folder / 'journal.jsonl'}"
                progress(f"nobody was followed: {why}{where}")
        if engine.folder is not None:
            result["out"] = str(engine.folder)
            if headless_s is not None:
                result["picture"] = str(session.save_picture(engine.folder))
        session.close("" if headless_s is None else "The run without a screen is over")
    finally:
        engine.stop()
    if engine.failure is not None and engine.faults and not run.calibrates:
        raise engine.failure
    if interrupted:
        raise KeyboardInterrupt
    return result, run.calibrates


def _why_nobody(snapshot: Snapshot | None, figures: Result) -> str:
    """Say why there was nobody to be chosen."""
    if snapshot is None:
        return "no frame was finished in time"
    if len(snapshot.tracks) and not snapshot.ranking:
        return (
            f"no sperm was seen well enough to be ranked, at {figures['fps_mean']} frames/s; "
            "end other programs, or run for longer"
        )
    return "no sperm was there to be chosen"


def parse_follow(text: str) -> Literal["best", "none"] | int:
    """Read whom to follow: 'best', 'none' or a track's number.

    Raises
    ------
    ConfigError
        Anything else.
    """
    if text == "best" or text == "none":
        return "best" if text == "best" else "none"
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise ConfigError(f"--follow {text}: 'best', 'none' or the number of a track is wanted")


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
        criteria=load_criteria(rig.config.criteria),
        has_pipette=rig.pipette is not None,
        no_sequence="" if rig.injection is not None else rig.injection_refusal,
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
        operator: ScriptedOperator,
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
        self._begun_s = time.perf_counter()
        self._warm_told_s = self._begun_s + 1.0
        self._started_s: float | None = None
        self._told_s = 0.0
        self._interrupted = False
        self._chosen = False
        self._too_late = False
        self.followed = False
        self.calibrates = False

    def until_done(self) -> bool:
        """Run until the time is over, the window closed or the program interrupted.

        Returns
        -------
        bool
            Whether it was interrupted.

        Raises
        ------
        DeviceError
            Without a window, and no frame came through in time.
        """
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self._session.run(self._tick)
        finally:
            signal.signal(signal.SIGINT, before)
        if self._too_late and not self._interrupted:
            raise DeviceError(
                "live", f"no frame has been seen through within {WARM_UP_S:.0f} s",
                "run 'sfcscope doctor', then start again: what was compiled is kept",
            )  # fmt: skip
        return self._interrupted

    def calibrate(self) -> None:
        """End the run: the instruments are wanted for a calibration."""
        self.calibrates = True
        self._session.quit()

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        self._interrupted = True
        self._session.quit()

    def _tick(self) -> None:
        """Look after the run; called several times a second on the window's thread."""
        now_s = time.perf_counter()
        snapshot = self._engine.latest()
        if self._headless_s is not None and self._is_over(now_s, self._headless_s):
            self._session.quit()
        if snapshot is None:
            if now_s >= self._warm_told_s:
                self._warm_told_s = now_s + WARM_TOLD_S
                self._progress(progress_line(now_s - self._begun_s))
            return
        if self._started_s is None:
            self._started_s, self._told_s = now_s, 0.0
        elapsed_s = now_s - self._started_s
        self.followed = self.followed or snapshot.motion.mode in (Mode.CENTERING, Mode.FOLLOWING)
        self._operate(snapshot, now_s)
        if elapsed_s - self._told_s >= 1.0:
            self._told_s = elapsed_s
            if self._headless_s is not None:
                age_s = now_s - snapshot.frame.time_s
                self._progress(describe(snapshot, elapsed_s, age_s))
            if self._load is not None:
                self._load.sample(elapsed_s, self._headless_s or elapsed_s)

    def _is_over(self, now_s: float, headless_s: float) -> bool:
        """Whether a run without a person is done. Its time counts from the first frame on."""
        if self._engine.ended or (self._engine.failure is not None and self._engine.faults):
            return True
        if self._started_s is None:
            self._too_late = now_s - self._begun_s > WARM_UP_S
            return self._too_late
        return now_s - self._started_s >= headless_s

    def _operate(self, snapshot: Snapshot, now_s: float) -> None:
        """Let the scripted operator act; where there is a person, only for the first choice."""
        if self._headless_s is None:
            self._chosen = self._chosen or snapshot.motion.target is not None
            if self._chosen or snapshot.motion.mode is not Mode.ARMED:
                return
        self._operator.tick(now_s)
