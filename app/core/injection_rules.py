"""What of the injection sequence may be asked for now, and why the rest may not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.core.injection_values import BUSY, DESCENDS_FROM, Sense, Step
from app.core.messages import (
    Abort,
    Align,
    Carry,
    Descend,
    Park,
    PipetteCommand,
    Retract,
    StandBy,
    Tap,
    Teach,
)

OFFERED: Final[tuple[PipetteCommand, ...]] = (
    Park(), StandBy(), Align("tail"), Align("head"), Descend(), Tap(), Retract(), Teach(), Carry(),
    Abort(),
)  # fmt: skip
"""All that an operator can ask for, in the order of a sequence."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the sequence stands.

    Attributes
    ----------
    step, bound_for : Step
        Now, and after the way that is under way.
    moves : bool
        Whether a move of the pipette is under way.
    low : bool
        Whether the tip is below its safe height.
    oocyte_taught : bool
    target_known : bool
        Whether the sperm that is aimed at, if any, has just been found by itself.
    """

    step: Step
    bound_for: Step
    moves: bool
    low: bool
    oocyte_taught: bool
    target_known: bool


def refusal(command: PipetteCommand, standing: Standing, sense: Sense) -> str:
    """Say why ``command`` does not fit the moment; empty where it does."""
    pose = sense.pipette
    if pose is None or (pose.moving is None and not isinstance(command, Abort)):
        return "the pipette's position is not known"
    if isinstance(command, Abort):
        return ""
    if not sense.armed and not isinstance(command, Retract):  # up is away from danger
        return "arm first"
    if isinstance(command, Descend):
        return _no_descent(standing)
    if standing.moves or standing.step in BUSY:
        return f"it is {standing.step.value}; stop it first"
    match command:
        case Align() if standing.low:
            return "retract first"
        case Align() if sense.target is None or sense.stage_um is None:
            return "the stage follows no sperm"
        case Tap() if standing.step is not Step.CONTACT:
            return "the tip is not in contact"
        case Tap() if not standing.target_known:
            return "the sperm is not found by itself just now; wait until it is, or retract"
        case Carry() if not standing.oocyte_taught:
            return "the oocyte's place has not been taught"
        case Carry() if standing.low:
            return "retract first"
        case Carry() if sense.stage_um is None:
            return "the stage's position is not known"
        case Teach() if sense.stage_um is None or not sense.stage_rests:
            return "the stage must be at rest above the oocyte"
    return ""


def _no_descent(standing: Standing) -> str:
    if standing.bound_for is Step.CONTACT:
        return "the tip is in contact"
    if standing.step in (Step.DESCENDING, *DESCENDS_FROM):
        return ""
    return f"it is {standing.step.value}; align it first"
