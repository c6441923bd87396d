"""What the guardian and its host say to each other: one JSON object a line."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field

from drivers import errors
from drivers.errors import BadReply, DeviceError, RefusedCommand
from drivers.limits import SoftLimits
from drivers.pose import Pose

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class GuardianSettings:
    """All that a guardian needs to know: the first line it reads.

    Attributes
    ----------
    device : str
        'proscan' or 'mp285'.
    url : str
        Port.
    name : str
        What the user calls the instrument.
    low_um, high_um, max_speed_um_s
        See SoftLimits.
    baud : int
    rtscts : bool
    acceleration_um_s2 : float
        Deceleration that a stop can count on.
    deadman_s : float
        How long a velocity, or the host's silence, lasts.
    stop_delay_s : float
        From the decision to stop to the beginning of the ramp.
    safe_z_um : float or None
        Height of the last axis below which moves need a permit (see ``up``); None for none.
    up : int
        Sign of the last axis that leads away from the glass: 1 or -1.
    window_low_um, window_high_um, window_speed_um_s
        Limits to begin with, within the others; empty when not confined.
    transcript : str
        File to append everything on the wire to; empty for none.
    options : dict
        Keyword arguments of the driver.
    """

    device: str
    url: str
    name: str
    low_um: tuple[float, ...]
    high_um: tuple[float, ...]
    max_speed_um_s: float = 2_000.0
    baud: int = 9600
    rtscts: bool = False
    acceleration_um_s2: float = 50_000.0
    deadman_s: float = 0.150
    stop_delay_s: float = 0.080
    safe_z_um: float | None = None
    up: int = 1
    window_low_um: tuple[float, ...] = ()
    window_high_um: tuple[float, ...] = ()
    window_speed_um_s: float = 0.0
    transcript: str = ""
    options: dict[str, float | bool | str] = field(default_factory=dict)

    @property
    def limits(self) -> SoftLimits:
        """As the checking object."""
        return SoftLimits(self.low_um, self.high_um, self.max_speed_um_s)

    @property
    def window(self) -> SoftLimits | None:
        """The narrower limits to begin with; None when not confined."""
        if not self.window_low_um:
            return None
        return SoftLimits(self.window_low_um, self.window_high_um, self.window_speed_um_s)

    def to_json(self) -> Json:
        """For the first line."""
        return asdict(self)

    @staticmethod
    def from_json(message: Json) -> GuardianSettings:
        """Undo ``to_json``. Raises TypeError for what is missing or unknown."""
        fields = dict(message)
        for key in ("low_um", "high_um", "window_low_um", "window_high_um"):
            fields[key] = tuple(numbers(fields.get(key, ())))
        return GuardianSettings(**fields)  # type: ignore[arg-type]


def encode(message: Json) -> bytes:
    """Write one line."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Json:
    """Read one line. Raises ValueError."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"a JSON object is needed, not {line[:80]!r}")
    return message


def numbers(value: object) -> list[float]:
    """Check a list of numbers. Raises ValueError."""
    if not isinstance(value, list | tuple) or not all(isinstance(v, int | float) for v in value):
        raise ValueError(f"a list of numbers is needed, not {value!r}")
    return [float(v) for v in value]


def encode_pose(pose: Pose) -> list[float | bool | None]:
    """Flatten; an unknown coordinate becomes null."""
    um = [None if math.isnan(value) else value for value in (pose.x_um, pose.y_um, pose.z_um)]
    return [pose.time_s, *um, pose.moving]


def decode_pose(value: object) -> Pose:
    """Undo ``encode_pose``. Raises ValueError."""
    if not isinstance(value, list) or len(value) != 5:
        raise ValueError(f"a pose has 5 fields, not {value!r}")
    x_um, y_um, z_um = (math.nan if um is None else float(um) for um in value[1:4])
    moving = value[4] if isinstance(value[4], bool) else None
    return Pose(float(value[0]), x_um, y_um, z_um, moving)


def encode_error(error: DeviceError) -> Json:
    """Flatten an error so that the host can raise it again."""
    message: Json = {
        "kind": type(error).__name__, "device": error.device, "what": error.what,
        "hint": error.hint,
    }  # fmt: skip
    if isinstance(error, BadReply):
        message["request"] = error.request.decode("latin-1")
        message["reply"] = error.reply.decode("latin-1")
    if isinstance(error, RefusedCommand):
        message["code"] = error.code
    return message


def decode_error(message: Json) -> DeviceError:
    """Undo ``encode_error``; an unknown kind becomes a plain DeviceError."""
    kind = getattr(errors, str(message.get("kind")), DeviceError)
    device, what, hint = (str(message.get(key)) for key in ("device", "what", "hint"))
    request, reply = (
        str(message.get(key, "")).encode("latin-1", "replace") for key in ("request", "reply")
    )
    if kind is RefusedCommand:
        code = int(str(message.get("code", 0)))
        return RefusedCommand(device, what, hint, code=code, request=request, reply=reply)
    if kind is BadReply:
        return BadReply(device, what, hint, request=request, reply=reply)
    if isinstance(kind, type) and issubclass(kind, DeviceError):
        return kind(device, what, hint)
    return DeviceError(device, what, hint)
