"""The reasons of a verdict, taken apart again: what is wrong, by how much, from how many frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from models.measure.reasons import CARRIED, SCORE_ONLY

_REASON: Final = re.compile(
    r"(?P<name>[A-Za-z ]+?) (?P<value>-?\d[\d.]*)(?P<unit>[^,(]*)"
    r"(?:, (?P<side>below|above|at the limit of) (?P<limit>-?\d[\d.]*))?"
    rf"(?P<only>{SCORE_ONLY})?"
    r"(?: ?\((?P<frames>\d+) frames?\))?"
)
_UNKNOWN: Final = re.compile(r"(?P<name>.+?) not known(?:: .*)?")
_HEAD: Final = "head: "
_SHORT: Final = {
    ("head area", "low"): "head small", ("head area", "high"): "head large",
    ("head length", "low"): "head short", ("head length", "high"): "head long",
    ("head width", "low"): "head narrow", ("head width", "high"): "head wide",
    ("ellipticity", "low"): "head round", ("ellipticity", "high"): "head slender",
    ("neck bend", "high"): "neck bent", ("tail length", "low"): "tail short",
    ("tail length", "high"): "tail long",
}  # fmt: skip
_SIDES: Final = {"below": "low", "above": "high", "at the limit of": "at its limit"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason, as the measures state it.

    Attributes
    ----------
    name : str
        Of the measure, as in models.measure.reasons.NAMES; 'head' where no head could be measured,
        'carried' where it moves without beating.
    text : str
        The whole of it without its frames, in the window's units.
    side : str
        'low', 'high' or 'at its limit'; empty where the value is fine or unknown.
    known : bool
    frames : int
        Good frames behind it; 0 where none are told.
    judges : bool
        Outside the limits is not normal; else it only counts in the score.
    """

    name: str
    text: str
    side: str = ""
    known: bool = True
    frames: int = 0
    judges: bool = True

    @property
    def short(self) -> str:
        """Two or three words for a narrow column."""
        if self.name == "carried":
            return "carried?"
        if self.name == "head" and not self.known:
            return self.text.removeprefix(_HEAD).replace("good frames", "frames")
        return _SHORT.get((self.name, self.side), f"{self.name} {self.side}".rstrip())


def findings(reasons: tuple[str, ...]) -> tuple[Finding, ...]:
    """Take reasons apart; they keep their order, worst first."""
    return tuple(_finding(text) for text in reasons)


@lru_cache(maxsize=4096)
def micro(text: str) -> str:
    """Write units as the window does: µm, µm²."""
    return re.sub(r"\bum(2?)\b", lambda m: "µm²" if m[1] else "µm", text)


@lru_cache(maxsize=4096)
def _finding(text: str) -> Finding:
    if text.startswith(_HEAD):
        return Finding("head", text, known=False)
    if text == CARRIED:
        return Finding("carried", text, known=False)
    if unknown := _UNKNOWN.fullmatch(text):
        return Finding(unknown["name"], text, known=False)
    match = _REASON.fullmatch(text)
    if match is None:
        return Finding(text, micro(text))
    frames = int(match["frames"] or 0)
    whole = text.partition(" (")[0] if frames else text
    side = _SIDES.get(match["side"] or "", "")
    return Finding(match["name"], micro(whole), side, True, frames, not match["only"])
