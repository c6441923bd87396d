"""Every action in one table: buttons, keys, tooltips and the list of keys come from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.core.messages import (
    Abort,
    Align,
    Mode,
    Park,
    PipetteCommand,
    Retract,
    StandBy,
    Tap,
    Teach,
)
from app.ui.controller import Controller
from app.ui.injection_control import HOLD_KEY
from app.ui.layers import Layer

ALWAYS: Final = frozenset(Mode)
MOVABLE: Final = frozenset({Mode.ARMED, Mode.CENTERING, Mode.FOLLOWING, Mode.HOLD})
BUSY: Final = frozenset({Mode.CENTERING, Mode.FOLLOWING, Mode.HOLD})
NO_STAGE: Final = "This rig has no stage: nothing can move"
NOT_ARMED: Final = "Not armed: press A first"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that the operator can do.

    Attributes
    ----------
    key : str
        Its name in the program, unique.
    text : str
        On the button.
    tooltip : str
        What it does, one sentence; the window adds the shortcut.
    shortcuts : tuple of str
        In Qt's portable notation.
    callback : callable
    modes : frozenset of Mode
        When it can be done.
    why_not : str
        Said when it is asked for in another mode: a key never feels dead.
    group : str
        Heading in the list of keys.
    """

    key: str
    text: str
    tooltip: str
    shortcuts: tuple[str, ...]
    callback: Callable[[Controller], None]
    modes: frozenset[Mode] = ALWAYS
    why_not: str = ""
    group: str = "Motion"


def _layer(layer: Layer, text: str, tooltip: str, shortcut: str) -> Action:
    return Action(
        layer.value, text, tooltip, (shortcut,), lambda c: c.toggle(layer), group="Picture"
    )


def _place(place: int) -> Action:
    which = "the best" if place == 1 else f"number {place}"
    return Action(
        f"place_{place}", str(place), f"Choose {which} of the ranking", (str(place),),
        lambda c: c.choose_ranked(place), group="Choice",
    )  # fmt: skip


def _jog(key: str, text: str, right: int, down: int, shortcut: str) -> Action:
    return Action(
        f"jog_{key}", text, f"Move by one step: what is seen goes {key}", (shortcut,),
        lambda c: c.jog(right, down), frozenset({Mode.ARMED}),
        "Arrow keys move the stage only while it is armed and follows nothing",
    )  # fmt: skip


def _pipette(key: str, text: str, tooltip: str, shortcut: str, command: PipetteCommand) -> Action:
    return Action(
        f"pipette_{key}", text, tooltip, (shortcut,), lambda c: c.injection.steer(command),
        group="Pipette",
    )  # fmt: skip


ACTIONS: Final[tuple[Action, ...]] = (
    Action("stop", "STOP", "Halt the stage and the pipette at once, wherever they are",
           ("Esc", "Space"), lambda c: c.stop()),
    Action("arm", "Arm", "Allow the stage to move, after you have confirmed the objective",
           ("A",), lambda c: c.arm(), frozenset({Mode.DISARMED, Mode.FAULT}), "Armed already"),
    Action("disarm", "Disarm", "Allow no more motion", ("D",), lambda c: c.disarm(),
           MOVABLE, "Not armed"),
    Action("follow", "Follow", "Bring the chosen sperm to the centre and keep it there",
           ("F",), lambda c: c.follow(), MOVABLE, NOT_ARMED),
    Action("follow_best", "Follow best",
           "Follow the best by score, or the fastest while none is first",
           ("B",), lambda c: c.follow_best(), MOVABLE, NOT_ARMED),
    Action("release", "Release", "Stop following; stay armed", ("L",), lambda c: c.release(),
           BUSY, "Nothing is followed"),
    Action("resume", "Resume", "Follow the same sperm again after a hold",
           ("R",), lambda c: c.resume(), frozenset({Mode.HOLD}), "Nothing is on hold"),
    _jog("left", "←", -1, 0, "Left"),
    _jog("up", "↑", 0, -1, "Up"),
    _jog("down", "↓", 0, 1, "Down"),
    _jog("right", "→", 1, 0, "Right"),
    Action("step_shorter", "Shorter step", "Take the next shorter step for the arrows",
           ("PgDown",), lambda c: c.change_step(-1)),
    Action("step_longer", "Longer step", "Take the next longer step for the arrows",
           ("PgUp",), lambda c: c.change_step(1)),
    *(_place(k) for k in range(1, 10)),
    Action("choose_none", "Choose none", "Take the choice back; what is followed stays followed",
           ("0",), lambda c: c.choose(None), group="Choice"),
    Action("next_row", "Next", "Choose the next row of the table", ("J",),
           lambda c: c.step_row(1), group="Choice"),
    Action("previous_row", "Previous", "Choose the row before in the table", ("K",),
           lambda c: c.step_row(-1), group="Choice"),
    _layer(Layer.MASKS, "Masks", "Show the outlines of the sperm found in this frame", "M"),
    _layer(Layer.BOXES, "Heads", "Show the corners of the head boxes", "H"),
    _layer(Layer.IDENTITIES, "Numbers", "Show each sperm's number, and the keys 1 to 9", "N"),
    _layer(Layer.TRAILS, "Trails", "Show where each sperm has been in the last 1.5 s", "T"),
    _layer(Layer.CROSSHAIR, "Cross", "Show the centre of the picture", "X"),
    _layer(Layer.CONTRAST, "Contrast", "Spread the grey levels of the picture", "C"),
    _pipette("park", "Park", "Up, and to the park position", "P", Park()),
    _pipette("stand_by", "Stand by", "Up, and beside the field", "S", StandBy()),
    _pipette("tail", "Tail", "Above the tail of the followed sperm, to immobilise it",
             "Shift+T", Align("tail")),
    _pipette("head", "Head", "Above the head of the followed sperm, to aspirate it",
             "Shift+H", Align("head")),
    Action("pipette_descend", "▼ Hold V", "Down for as long as this is held; the dish ends it",
           (HOLD_KEY,), lambda c: c.injection.hold(), group="Pipette"),
    _pipette("tap", "Tap", "Cross the tail with the tip on the dish", "Z", Tap()),
    _pipette("retract", "Retract", "Straight up to the safe height", "U", Retract()),
    _pipette("teach", "Teach", "The oocyte lies under the cross: keep the place",
             "Shift+O", Teach()),
    Action("pipette_carry", "Carry", "Bring the oocyte's place under the objective", ("O",),
           lambda c: c.carry(), group="Pipette"),
    _pipette("abort", "Abort", "Up first, then to the park position; needs no arming",
             "Del", Abort()),
    Action("agree", "Agree", "Agree to the question that is open", ("Return", "Enter"),
           lambda c: c.agree(), group="Window"),
    Action("decline", "Cancel", "Decline the question that is open", ("Backspace",),
           lambda c: c.decline(), group="Window"),
    Action("calibrate", "Calibrate", "Leave the live picture for the calibration of the rig",
           ("F2",), lambda c: c.calibrate(), frozenset({Mode.DISARMED, Mode.FAULT}),
           "Disarm first: calibration takes camera and stage for itself", "Window"),
    Action("help", "?", "Show or hide this list of keys", ("?", "F1"),
           lambda c: c.toggle_help(), group="Window"),
)  # fmt: skip

BY_KEY: Final = {action.key: action for action in ACTIONS}


def possible(action: Action, mode: Mode, has_stage: bool) -> bool:
    """Whether it can be done now. What can always be done needs no stage."""
    return mode in action.modes and (has_stage or action.modes == ALWAYS)


def perform(action: Action, controller: Controller) -> None:
    """Do it, or say why not."""
    if possible(action, controller.mode, controller.has_stage):
        action.callback(controller)
    else:
        controller.noted.emit(action.why_not if controller.has_stage else NO_STAGE)


def tooltip(action: Action) -> str:
    """Return the tooltip with the shortcuts."""
    return f"{action.tooltip} ({' or '.join(action.shortcuts)})"
