"""What is said of the injection sequence: where it stands, and what an embryologist does next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.core.injection_values import LOW, Outlook, Step
from app.core.messages import (
    Abort,
    Align,
    Carry,
    Descend,
    Mode,
    Park,
    PipetteCommand,
    Retract,
    StandBy,
    Tap,
)
from app.ui.theme import ALERT, MODE_LOOKS, MUTED, TEXT

DOWN: Final = (Step.DESCENDING, Step.CONFIRMING, *LOW)


@dataclass(frozen=True, slots=True)
class NextStep:
    """What is usually done next, and how it is said; no command where one only waits."""

    command: PipetteCommand | None
    words: str


_NEXT: Final[dict[Step, NextStep]] = {
    Step.NOWHERE: NextStep(Park(), "Park brings it up and away"),
    Step.PARKED: NextStep(StandBy(), "Stand by brings it beside the field"),
    Step.STANDBY: NextStep(Align("tail"), "follow a sperm; Tail brings the tip above its tail"),
    Step.ALIGNED: NextStep(Descend(), "hold V to go down; the dish ends it by itself"),
    Step.DESCENDING: NextStep(Descend(), "keep holding; let go, and it stops"),
    Step.PAUSED: NextStep(Descend(), "hold V again to go on, or Retract"),
    Step.CONFIRMING: NextStep(None, "wait: does the head still move?"),
    Step.IMMOBILE: NextStep(Retract(), "Retract; then Head, to aspirate it"),
    Step.AT_OOCYTE: NextStep(Descend(), "hold V to go down beside the oocyte"),
    Step.CARRYING: NextStep(None, "wait: the stage brings the oocyte"),
    Step.FROZEN: NextStep(Abort(), "Abort brings it up and to its park position"),
}
_IN_CONTACT: Final = {
    "tail": NextStep(Tap(), "Tap crosses the tail"),
    "head": NextStep(Retract(), "aspirate the sperm, then Retract"),
    "": NextStep(Retract(), "deposit the sperm, then Retract"),
}
_RAISED: Final = {
    "tail": NextStep(Align("head"), "Head, to aspirate it; or Tail again"),
    "": NextStep(Park(), "Park, or Tail for the next sperm"),
}
_TO_OOCYTE: Final = NextStep(Carry(), "Carry brings the oocyte under the cross")
_UNTAUGHT: Final = NextStep(None, "bring the oocyte under the cross, then Teach")


def next_step(outlook: Outlook) -> NextStep:
    """Return what is usually done next."""
    if outlook.under_way or outlook.step is Step.GOING:
        return NextStep(None, "wait: it is under way")
    if outlook.step is Step.CONTACT:
        return _IN_CONTACT[outlook.point]
    if outlook.step is Step.RAISED:
        if outlook.point == "head":
            return _UNTAUGHT if outlook.oocyte_um is None else _TO_OOCYTE
        return _RAISED[outlook.point]
    return _NEXT[outlook.step]


def headline(outlook: Outlook) -> tuple[str, str]:
    """Return where it stands, and the colour to say it in."""
    word = outlook.step.value
    if outlook.under_way:
        return f"→ {word}", TEXT
    if outlook.step is Step.FROZEN:
        return word, ALERT
    return word, MODE_LOOKS[Mode.ARMED].fill if outlook.step in DOWN else TEXT


def advice(outlook: Outlook) -> tuple[str, str]:
    """Return one line: why it stands still, what comes next, and what is still in its way."""
    following = next_step(outlook)
    parts = [f"{outlook.reason}." if outlook.reason else "", f"Next: {following.words}"]
    why = "" if following.command is None else outlook.refusals.get(following.command, "")
    if why:
        parts.append(f"(not yet: {why})")
    text = " ".join(part for part in parts if part)
    return text[0].upper() + text[1:], TEXT if not why else MUTED


def height(outlook: Outlook) -> str:
    """Return how far the tip is above the dish."""
    if outlook.height_um is None:
        return "height not known"
    if abs(outlook.height_um) < 100:
        return f"{outlook.height_um:.1f} µm above the dish"
    return f"{outlook.height_um:.0f} µm above the dish"
