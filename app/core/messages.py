"""What the threads say to each other: frozen values, read-only arrays, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from drivers.types import Frame, Pose
from models.types import Float64, Measurements, Perception, Tracks


class Mode(Enum):
    """State of the interlocks: what may move, and why."""

    DISARMED = "disarmed"
    ARMED = "armed"
    CENTERING = "centering"
    FOLLOWING = "following"
    HOLD = "hold"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class MotionState:
    """The interlocks as of now.

    Attributes
    ----------
    mode : Mode
    reason : str
        One sentence for a person: why HOLD, FAULT or DISARMED; empty otherwise.
    target : int or None
        Track that the stage centres or follows.
    """

    mode: Mode = Mode.DISARMED
    reason: str = ""
    target: int | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Monotonic times of one frame on its way through the loop, seconds.

    Attributes
    ----------
    exposed_s, received_s, inferred_s, published_s : float
        Mid exposure; handed over by the driver; network done; snapshot published.
    commanded_s : float or None
        Servo command computed from this frame handed to the port; None when none was.
    """

    exposed_s: float
    received_s: float
    inferred_s: float
    published_s: float
    commanded_s: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known as of one frame. The window draws this and nothing else.

    Attributes
    ----------
    frame : Frame
    pose : Pose or None
        Stage pose interpolated to mid exposure, stage frame; None when unknown.
    perception : Perception
        Of this very frame: masks are never drawn on another frame.
    tracks : Tracks
        Stage frame.
    track_px : (N, 2) float64
        Tracks' positions in this frame, image frame.
    measurements : Measurements
        Live values, sliding window; same rows as ``tracks``.
    motion : MotionState
    ranking : tuple of int
        Track ids, best first if ``judged``, else fastest first; only those that can be ranked.
    timing : Timing
    frames : int
        Frames processed since start.
    dropped : int
        Frames lost since start, from gaps in the device counter.
    fps : float
        Over the last two seconds.
    faults : tuple of str
        Visible faults of threads and devices, newest first.
    pipette : Pose or None
    overloads : int
        Crowds since start that were too dense to weigh all ways of who is who.
    judged : bool
        Whether ``ranking`` is by score; else it is by speed, and none has the first place yet.
    """

    frame: Frame
    pose: Pose | None
    perception: Perception
    tracks: Tracks
    track_px: Float64
    measurements: Measurements
    motion: MotionState
    ranking: tuple[int, ...]
    timing: Timing
    frames: int
    dropped: int
    fps: float
    faults: tuple[str, ...] = ()
    pipette: Pose | None = None
    overloads: int = 0
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Freeze all motion where it is."""

    why: str = "Stop pressed"


@dataclass(frozen=True, slots=True)
class Arm:
    """Ask for motion to be allowed. ``objective`` is what the operator confirms, e.g. '20x'."""

    objective: str


@dataclass(frozen=True, slots=True)
class Disarm:
    """No more motion."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Bring this track to the centre and keep it there."""

    track_id: int


@dataclass(frozen=True, slots=True)
class FollowBest:
    """Follow the first of the ranking, by score or by speed (see ``Snapshot.judged``)."""


@dataclass(frozen=True, slots=True)
class Release:
    """Stop following; stay armed."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The operator resumes after HOLD, if the target is back."""


@dataclass(frozen=True, slots=True)
class MoveBy:
    """One planned relative stage move, stage frame, micrometres."""

    dx_um: float
    dy_um: float


@dataclass(frozen=True, slots=True)
class Park:
    """Pipette: to its park position."""


@dataclass(frozen=True, slots=True)
class StandBy:
    """Pipette: above and beside the field."""


@dataclass(frozen=True, slots=True)
class Align:
    """Pipette: above a point of the sperm that is followed: its tail or its head."""

    point: Literal["tail", "head"] = "tail"


@dataclass(frozen=True, slots=True)
class Descend:
    """The control is held: go down. Repeated at least each 50 ms for as long as it is."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """The control is not held any more."""


@dataclass(frozen=True, slots=True)
class Tap:
    """Cross the tail with the tip in contact."""


@dataclass(frozen=True, slots=True)
class Retract:
    """Pipette: straight up to its safe height. Needs a known pose, not arming."""


@dataclass(frozen=True, slots=True)
class Teach:
    """The oocyte lies under the objective now."""


@dataclass(frozen=True, slots=True)
class Carry:
    """Bring the oocyte under the objective; the pipette stays up."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Pipette: up first, then to its park position. Possible whenever its pose is known."""


PipetteCommand = Park | StandBy | Align | Descend | LetGo | Tap | Retract | Teach | Carry | Abort
Command = Stop | Arm | Disarm | Follow | FollowBest | Release | Resume | MoveBy | PipetteCommand


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person should be told. ``time_s`` is monotonic."""

    time_s: float
    text: str
    severity: str = "info"  # info, warning, fault
    details: dict[str, str] = field(default_factory=dict)
