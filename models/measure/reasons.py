"""A verdict in words: every term with its value, its limit and the frames behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.measure.motility import SLOWEST_RATE_HZ, shows_the_beat
from models.measure.profile import CriteriaProfile, Term

NAMES: Final = {
    "head_area_um2": ("head area", "um2", 1), "head_length_um": ("head length", "um", 1),
    "head_width_um": ("head width", "um", 1), "head_ellipticity": ("ellipticity", "", 2),
    "head_angle_deg": ("neck bend", "deg", 0), "tail_length_um": ("tail length", "um", 0),
    "vsl_um_s": ("VSL", "um/s", 1), "vcl_um_s": ("VCL", "um/s", 1), "vap_um_s": ("VAP", "um/s", 1),
    "alh_um": ("ALH", "um", 1), "alh_max_um": ("largest ALH", "um", 1),
    "mad_deg": ("MAD", "deg", 0), "bcf_hz": ("BCF", "Hz", 1),
    "lin": ("LIN", "", 2), "wob": ("WOB", "", 2),
    "str": ("STR", "", 2),
}  # fmt: skip
"""Of each measure: its name, unit, and decimals."""
CARRIED: Final = "moves without beating: carried by the flow?"
"""Why the motility of such a cell is not known."""
SCORE_ONLY: Final = ", in the score only"
"""Follows a limit that does not judge."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One term of a verdict.

    Attributes
    ----------
    measure : str
    text : str
        'head width 2.4 um, below 2.5 (12 frames)'; ', in the score only' after a limit that does
        not judge; 'tail length not known: the worst is assumed in the score'.
    merit : float
        0 to 1; NaN where the measure is unknown.
    broken : bool
        The value lies outside a limit that judges, by more than its uncertainty.
    """

    measure: str
    text: str
    merit: float
    broken: bool


def reasons(
    values: Mapping[str, float],
    merits: Mapping[str, float],
    profile: CriteriaProfile,
    uncertainty: Mapping[str, float] | None = None,
    frames: Mapping[str, int] | None = None,
    duration_s: Mapping[str, float] | None = None,
    why_not: Mapping[str, str] | None = None,
    *,
    carried: bool = False,
) -> tuple[Reason, ...]:
    """Explain one sperm's verdict: what is broken first, then worst merit first, unknown last.

    Whether it is ``carried``, as ``Verdicts.carried`` says, comes before all of them.

    Parameters
    ----------
    values, uncertainty : mapping of str to float
        By column of sperm.csv; NaN or missing is unknown.
    merits : mapping of str to float
        Merit of each term, from ``Verdicts.merit``.
    frames : mapping of str to int
        Frames behind each value.
    duration_s : mapping of str to float
        Time that these span, told beside them where it is given.
    why_not : mapping of str to str
        Why a value is not known, told where it is given.
    """
    found = [
        _reason(
            term,
            values.get(term.measure, math.nan),
            merits.get(term.measure, math.nan),
            (uncertainty or {}).get(term.measure, math.nan),
            _behind(
                (frames or {}).get(term.measure, 0), (duration_s or {}).get(term.measure, math.nan)
            ),
            (why_not or {}).get(term.measure, ""),
        )
        for term in profile.term
    ]
    found.sort(key=lambda one: (math.isnan(one.merit), not one.broken, one.merit))
    first = [Reason("swing", CARRIED, math.nan, False)] if carried else []
    return (*first, *found)


def beat_unseen(frame_rate_hz: float) -> str:
    """Say that a frame rate does not show the beat; empty where it does, or is not known."""
    if math.isnan(frame_rate_hz) or shows_the_beat(frame_rate_hz):
        return ""
    return (
        f"ALH, MAD, BCF not known: {frame_rate_hz:.1f} frames a second do not show the beat, "
        f"{SLOWEST_RATE_HZ:.0f} are needed"
    )


def sentence(
    found: tuple[Reason, ...], profile: CriteriaProfile, frame_rate_hz: float = math.nan
) -> str:
    """Join reasons into the text of a table's cell; with those that the frame rate gives."""
    parts = [one.text for one in found]
    if unseen := beat_unseen(frame_rate_hz):
        parts.append(unseen)
    if profile.not_assessed:
        parts.append("not assessed: " + ", ".join(profile.not_assessed))
    return "; ".join(parts)


def number(measure: str, value: float, decimals: int | None = None) -> str:
    """Write a value with its unit, as the field does; or with so many decimals."""
    _, unit, usual = NAMES[measure]
    return f"{value:.{usual if decimals is None else decimals}f} {unit}".rstrip()


def _behind(frames: int, duration_s: float) -> str:
    """Say what a value rests on; empty where that is not told."""
    if frames <= 0:
        return ""
    text = f"{frames} frame{'s' if frames > 1 else ''}"
    return f" ({text})" if math.isnan(duration_s) else f" ({text}, {duration_s:.2f} s)"


def _reason(term: Term, value: float, merit: float, sd: float, behind: str, why_not: str) -> Reason:
    name, _, decimals = NAMES[term.measure]
    if not math.isfinite(value):
        costs = "no score without it" if term.needed else "the worst is assumed in the score"
        why = f": {why_not}; {costs}" if why_not else f": {costs}"
        return Reason(term.measure, f"{name} not known{why}", math.nan, False)
    given = 0.0 if math.isnan(sd) else sd
    text = f"{name} {number(term.measure, value)}"
    low = -math.inf if term.low is None else term.low
    high = math.inf if term.high is None else term.high
    broken = value + given < low or value - given > high
    if not low <= value <= high:
        side, limit = ("below", low) if value < low else ("above", high)
        if broken:
            text = f"{name} {number(term.measure, value, _apart(value, limit, decimals))}"
        else:
            side = "at the limit of"
        text += f", {side} {limit:.{_digits(limit, decimals)}f}"
    if not term.judges and not low <= value <= high:
        text += SCORE_ONLY
    return Reason(term.measure, text + behind, merit, broken and term.judges)


def _apart(value: float, limit: float, decimals: int) -> int:
    """Enough decimals that a value beyond a limit is not written as the limit itself."""
    return next((k for k in range(decimals, 4) if round(value, k) != round(limit, k)), 4)


def _digits(limit: float, decimals: int) -> int:
    """Enough decimals to write the limit as the profile does."""
    return next((k for k in range(decimals, 4) if round(limit, k) == limit), 4)
