"""One procedure of calibration on a thread of its own, beside a person who looks and decides."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import Enum

from app.runtime.calibration_outcome import Outcome
from app.runtime.calibration_picture import measure_picture
from app.runtime.calibration_run import RigBench, accept, list_of_checks, measure
from app.runtime.calibration_sight import Sight, Sighting
from app.runtime.cancellable import Brake, Cancelled, cancellable
from calibration.errors import CalibrationError
from calibration.procedure import Instruction, Progress, opened
from calibration.store import CalibrationRecord
from drivers.errors import DeviceError
from drivers.types import Frame, Image

LOOK_EVERY_S = 0.4  # a detection takes tens of milliseconds; the picture itself is live
READ_S = 0.1
MARKED_S = 0.3  # for so long a picture stands in which something was detected while things move
OpenBench = Callable[[str], AbstractContextManager[RigBench]]


class Phase(Enum):
    """Where a session stands."""

    CONNECTING = "connecting"
    ASKING = "asking"
    RUNNING = "running"
    MEASURED = "measured"
    SAVED = "saved"
    CANCELLED = "cancelled"
    REFUSED = "refused"

    @property
    def over(self) -> bool:
        """Whether nothing follows: the instruments are released."""
        return self in (Phase.SAVED, Phase.CANCELLED, Phase.REFUSED)


@dataclass(frozen=True, slots=True)
class SessionState:
    """Everything that a person is shown.

    Attributes
    ----------
    phase : Phase
    text : str
        What to do, what is being done, or why it has ended.
    done : float
        0 to 1, of the measurement.
    picture : (H, W) uint8 or None
        The camera's newest.
    sighting : Sighting or None
        What was detected last.
    marked : (H, W) uint8 or None
        The picture that it was detected in: while things move it is true of no other.
    outcome : Outcome or None
        From MEASURED on.
    record : CalibrationRecord or None
        What was in force when the session began.
    can_keep : bool
        Whether the rig names a file to keep the result in.
    """

    phase: Phase = Phase.CONNECTING
    text: str = "Connecting camera and instruments"
    done: float = 0.0
    picture: Image | None = None
    sighting: Sighting | None = None
    marked: Image | None = None
    outcome: Outcome | None = None
    record: CalibrationRecord | None = None
    can_keep: bool = False


@dataclass(frozen=True, slots=True)
class HandLine:
    """A line that a person has drawn in the live picture.

    Attributes
    ----------
    line_px : (float, float, float, float)
        x0, y0, x1, y1, image frame.
    length_um : float
    """

    line_px: tuple[float, float, float, float]
    length_um: float


class _ByHand(Exception):
    """The person measures instead of the procedure."""

    def __init__(self, line: HandLine) -> None:
        super().__init__()
        self.line = line


class CalibrationSession(threading.Thread):
    """Connects, asks, measures, waits for a decision. No call blocks; any thread may call.

    Until the result is accepted the old calibration stays in force, and however it ends what moves
    is at rest. The instruments are released before the result is shown.

    Parameters
    ----------
    open_bench : callable
        From the procedure to a context that gives the rig's bench.
    procedure : str
        Of app.runtime.calibration_run.PROCEDURES.
    division_um : float
        Of the micrometer.
    bead_um : float
        Nominal diameter of the beads.
    """

    def __init__(
        self,
        open_bench: OpenBench,
        procedure: str,
        division_um: float = 10.0,
        bead_um: float = 10.0,
    ) -> None:
        super().__init__(name=f"sfcscope-calibrate {procedure}", daemon=True)
        self.procedure = procedure
        self._open_bench = open_bench
        self._division_um = division_um
        self._bead_um = bead_um
        self._brake = Brake()
        self._lock = threading.Lock()
        self._state = SessionState()
        self._answers: queue.SimpleQueue[str | HandLine | None] = queue.SimpleQueue()
        self._sight: Sight | None = None
        self._looked_s = 0.0
        self._connected = False
        self._stopper: threading.Thread | None = None
        self._unconfirmed = ""

    @property
    def state(self) -> SessionState:
        """The newest state, the same object until there is a newer one."""
        return self._state

    def go_on(self) -> None:
        """Do what the instruction announced: the person is ready."""
        if self._state.phase is Phase.ASKING:
            self._answers.put("")

    def measure_line(self, line: HandLine) -> None:
        """Take a pixel's size from this line in the live picture, instead of from the ruling."""
        if self._state.phase is Phase.ASKING and self.procedure == "pixel":
            self._answers.put(line)

    def accept(self, operator: str) -> None:
        """Keep the result; ``operator`` stands for it."""
        if self._state.phase is Phase.MEASURED and operator.strip():
            self._answers.put(operator.strip())

    def cancel(self) -> None:
        """Stop what moves at once, and keep nothing. Returns before it stands still."""
        self._brake.set()
        self._answers.put(None)
        with self._lock:
            if self._connected and self._stopper is None:
                self._stopper = threading.Thread(
                    target=self._stop_now, name="sfcscope-stop", daemon=True
                )
                self._stopper.start()

    def run(self) -> None:
        """Run the procedure from end to end."""
        try:
            with self._open_bench(self.procedure) as rig:
                outcome = self._measure(rig)
            self._drop_answers()
            self._tell(phase=Phase.MEASURED, text="Measured", done=1.0, outcome=outcome)
            operator = self._answers.get()
            self._brake.check()
            if not isinstance(operator, str):
                raise Cancelled
            self._keep(rig, outcome, operator)
        except Cancelled:
            self._tell_stopped()
        except (CalibrationError, DeviceError) as error:
            self._tell(phase=Phase.REFUSED, text=str(error))
        except Exception as error:
            self._tell(phase=Phase.REFUSED, text=f"{type(error).__name__}: {error}")
            raise

    def _measure(self, rig: RigBench) -> Outcome:
        bench = cancellable(rig.bench, self._brake, self._see)
        self._sight = Sight(
            self.procedure, self._division_um, bench.expected_um_per_px, self._bead_um
        )
        self._tell(record=rig.record, can_keep=rig.path is not None)
        rig = replace(rig, bench=bench)
        with self._lock:
            self._connected = True
        try:
            return measure(
                rig, self.procedure, self._division_um, lambda step: self._show(rig, step),
                self._bead_um,
            )  # fmt: skip
        except _ByHand as drawn:
            image = self._state.picture
            if image is None:
                raise CalibrationError("there is no picture yet; wait for it") from drawn
            line, expected = drawn.line, rig.bench.expected_um_per_px
            return measure_picture(image, self._division_um, line.line_px, line.length_um, expected)
        finally:
            with self._lock:
                self._connected = False
            if self._stopper is not None:
                self._stopper.join()  # while the ports are open; each stop has its deadline

    def _show(self, rig: RigBench, step: Instruction | Progress) -> None:
        self._brake.check()
        if isinstance(step, Instruction):
            self._ask(rig, step.text)
            return
        self._tell(phase=Phase.RUNNING, text=step.text, done=step.done)
        if step.picture is None:
            return
        self._tell(picture=step.picture)
        # While the stage swings, its velocity lives 150 ms: there is no time to look.
        if self.procedure != "latency":
            self._look(step.picture)

    def _ask(self, rig: RigBench, text: str) -> None:
        """Show the live picture until the person is ready."""
        self._tell(phase=Phase.ASKING, text=text)
        camera = rig.bench.camera
        with opened(camera):
            while self._answers.empty():
                frame = camera.read(READ_S)
                if frame is not None and time.monotonic() - self._looked_s > LOOK_EVERY_S:
                    self._look(frame.image)
        answer = self._answers.get()
        if answer is None:
            raise Cancelled
        if isinstance(answer, HandLine):
            raise _ByHand(answer)
        self._tell(phase=Phase.RUNNING, text="Measuring", sighting=None)

    def _drop_answers(self) -> None:
        """Forget what was answered to an earlier question; a cancellation is kept by the brake."""
        while not self._answers.empty():
            self._answers.get()
        self._brake.check()

    def _see(self, frame: Frame) -> None:
        moving = self._state.phase is Phase.RUNNING
        if not moving or time.monotonic() - self._looked_s > MARKED_S:
            self._tell(picture=frame.image)

    def _look(self, image: Image) -> None:
        if self._sight is not None:
            self._tell(sighting=self._sight.look(image), marked=image)
            self._looked_s = time.monotonic()

    def _keep(self, rig: RigBench, outcome: Outcome, operator: str) -> None:
        if rig.path is None:
            raise CalibrationError(
                "this rig file names no calibration file to keep the result in; name one there"
            )
        record = accept(outcome, rig.set_up, rig.record, rig.path, operator)
        until = record.valid_until
        said = "" if until is None else f"; the calibration is valid until {until}"
        where = rig.path if outcome.section is not None else list_of_checks(rig.path)
        self._tell(phase=Phase.SAVED, text=f"Kept in {where.name}{said}")

    def _stop_now(self) -> None:
        """Stop over the head of the procedure, which may be waiting for the stage to arrive."""
        try:
            self._brake.pull()
        except DeviceError as error:
            self._unconfirmed = f"The stop is not confirmed: {error}"

    def _tell_stopped(self) -> None:
        if self._unconfirmed:
            self._tell(phase=Phase.REFUSED, text=self._unconfirmed)
        else:
            self._tell(
                phase=Phase.CANCELLED,
                text="Stopped: nothing moves, and the old calibration stays in force",
            )

    def _tell(self, **changes: object) -> None:
        with self._lock:
            self._state = replace(self._state, **changes)  # type: ignore[arg-type]
