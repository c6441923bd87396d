"""What the injection sequence speaks of: steps, heights, what is known, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from app.core.contact import TipSight
from app.core.legs import Place
from app.core.messages import PipetteCommand
from app.core.selection import Target
from drivers.pose import Pose
from models.types import Float64


class Step(Enum):
    """Where in the sequence."""

    NOWHERE = "not placed"
    GOING = "under way"
    PARKED = "parked"
    STANDBY = "standing by"
    ALIGNED = "above the sperm"
    AT_OOCYTE = "above the oocyte"
    DESCENDING = "descending"
    PAUSED = "paused on the way down"
    CONTACT = "in contact"
    CONFIRMING = "watching for motion"
    IMMOBILE = "immobilised"
    RAISED = "raised"
    CARRYING = "carrying"
    FROZEN = "stopped"


HIGH = (Step.PARKED, Step.STANDBY, Step.ALIGNED, Step.AT_OOCYTE, Step.RAISED)
LOW = (Step.PAUSED, Step.CONTACT, Step.IMMOBILE)
BUSY = (Step.GOING, Step.DESCENDING, Step.CARRYING)
AIMS = (Step.ALIGNED, Step.DESCENDING, Step.PAUSED, Step.CONTACT)
DESCENDS_FROM = (Step.ALIGNED, Step.AT_OOCYTE, Step.PAUSED)


class PipetteMap(Protocol):
    """Calibration of the manipulator: pipette frame to view, um from the picture's centre."""

    def view_um(self, pose_um: Float64) -> Float64:
        """Say where the tip is in the view, (2,), at a pose (3,)."""
        ...

    def pose_um(self, view_um: Float64, z_um: float) -> Float64:
        """Say which pose (3,), at height ``z_um``, brings the tip to a point (2,) of the view."""
        ...


@dataclass(frozen=True, slots=True)
class Heights:
    """Along the manipulator's last axis, pipette frame.

    Attributes
    ----------
    safe_um : float
        From there on upwards the tip clears everything.
    dish_um : float
        Where it meets the dish, as it was taught.
    up : int
        Sign that leads away from the dish: 1 or -1.
    """

    safe_um: float
    dish_um: float
    up: int = 1

    def above_dish_um(self, z_um: float) -> float:
        """Height of the tip above the dish."""
        return self.up * (z_um - self.dish_um)

    def is_safe(self, z_um: float) -> bool:
        """Whether the tip clears everything."""
        return self.up * (z_um - self.safe_um) >= -0.5


@dataclass(frozen=True, slots=True)
class Sense:
    """What is known at the moment.

    Attributes
    ----------
    pipette : Pose or None
        As last read back; None where it is not known.
    armed : bool
        Whether motion is allowed.
    stage_um : (2,) float64 or None
        Now.
    stage_rests : bool
    target : Target or None
        The sperm that the stage follows, as of the newest frame; None where it follows none.
    head_um : (2,) float64 or None
        Where a head was seen in that frame, raw.
    tip : TipSight or None
        Newest.
    """

    pipette: Pose | None
    armed: bool
    stage_um: Float64 | None
    stage_rests: bool
    target: Target | None
    head_um: Float64 | None = None
    tip: TipSight | None = None


@dataclass(frozen=True, slots=True)
class Go:
    """Move the pipette: one leg, pipette frame. ``down`` where it is a micro-move of a descent."""

    to_um: Place
    speed_um_s: float
    down: bool = False


@dataclass(frozen=True, slots=True)
class DriveStage:
    """Bring this place of the dish under the objective, (2,), stage frame: follow nothing."""

    to_um: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop the pipette where it is."""


Order = Go | DriveStage | Freeze


@dataclass(frozen=True, slots=True)
class Outlook:
    """The sequence as of now, for a person.

    Attributes
    ----------
    step : Step
        Where it is, or where it goes.
    under_way : bool
        Whether it still goes there.
    reason : str
        Why it paused or stopped; empty otherwise.
    height_um : float or None
        Of the tip above the dish, as last read at rest; None where it is not known.
    immobilised : int
        Sperm that were seen to stop.
    oocyte_um : (x, y) or None
        Stage frame, as taught.
    point : str
        What the tip was aligned with last: 'tail', 'head', or empty.
    aim_um : (x, y) or None
        Where the tip is to come down on the sperm, stage frame, as of the newest frame.
    refusals : mapping
        From each command that can be asked for to why it cannot be now; empty where it can.
    """

    step: Step
    under_way: bool
    reason: str
    height_um: float | None
    immobilised: int
    oocyte_um: tuple[float, float] | None
    point: str
    aim_um: tuple[float, float] | None
    refusals: Mapping[PipetteCommand, str]
