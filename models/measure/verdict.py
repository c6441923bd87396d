"""From numbers to verdicts: normal or not, the grade, and a score. Pure, all sperm at once.

Unknown is NaN and stays unknown: a verdict that lacks a needed number is NaN, and so is the score,
so that the sperm is never ranked. A limit is broken where a value lies outside it by more than its
own uncertainty. Nearer to the best of a term never lowers the score, and an unknown never raises
it: what may be unknown counts as the worst value then. What moves without beating may be carried by
the medium: its motility is not known, however fast it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.measure.profile import CriteriaProfile, Term
from models.types import Float64, Int8

IMMOTILE, NONPROGRESSIVE, SLOW, RAPID = 1, 2, 3, 4
GRADES = ("", "immotile", "nonprogressive", "slow", "rapid")
"""Text of each grade; 0 is not known."""
# A VCL below this many times what jitter alone gives is no motion.
STILL_FACTOR = 1.6


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a profile says of N sperm; NaN is unknown.

    Attributes
    ----------
    merit : (terms, N) float64
        Of each term of the profile, 0 to 1.
    morphology_normal, motility_normal, healthy : (N,) float64
        1 or 0.
    grade : (N,) int8
        Index of GRADES.
    score, score_sd : (N,) float64
        0 to 1, and its standard uncertainty.
    carried : (N,) bool
        Moves without beating: a dead sperm in a flow would, too. No grade, no motility, no score.
    """

    merit: Float64
    morphology_normal: Float64
    motility_normal: Float64
    healthy: Float64
    grade: Int8
    score: Float64
    score_sd: Float64
    carried: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.score)


def judge(
    values: Mapping[str, Float64],
    profile: CriteriaProfile,
    uncertainty: Mapping[str, Float64] | None = None,
) -> Verdicts:
    """Judge N sperm.

    Parameters
    ----------
    values : mapping of str to (N,) float64
        By column of sperm.csv, NaN where unknown (infinite is no better); a column that is missing
        is unknown. With ``vcl_noise_um_s``, the VCL of a cell at rest, immotile and nonprogressive
        sperm are told apart; with ``swing`` (see models.measure.motility) swimming and being
        carried are.
    profile : CriteriaProfile
    uncertainty : mapping of str to (N,) float64, optional
        Standard uncertainty of ``values``; none where missing or NaN.
    """
    n = max((len(column) for column in values.values()), default=0)
    none = np.full(n, np.nan)
    given = uncertainty or {}
    merit = np.empty((len(profile.term), n))
    slope_sd = np.zeros((len(profile.term), n))
    normal = {"morphology": np.ones(n), "motility": np.ones(n)}
    broken = {"morphology": np.zeros(n, np.bool_), "motility": np.zeros(n, np.bool_)}
    judged = {"morphology": np.zeros(n, np.bool_), "motility": np.zeros(n, np.bool_)}
    complete = np.ones(n, np.bool_)
    for k, term in enumerate(profile.term):
        value = values.get(term.measure, none)
        sd = np.nan_to_num(given.get(term.measure, np.zeros(n)))
        known = np.isfinite(value)
        merit[k] = merit_of(term, value)
        # The farther of both sides: about the best value they lead to the same merit.
        spread = np.maximum(
            np.abs(merit_of(term, value + sd) - merit[k]),
            np.abs(merit_of(term, value - sd) - merit[k]),
        )
        slope_sd[k] = np.where(known, spread, 0.0)
        if term.needed:
            complete &= known
            normal[term.group][~known] = np.nan
        if term.judges:
            judged[term.group] |= known
            low = -np.inf if term.low is None else term.low
            high = np.inf if term.high is None else term.high
            broken[term.group] |= known & ((value + sd < low) | (value - sd > high))
    for group in normal:
        normal[group][~judged[group]] = np.nan
        normal[group][broken[group]] = 0.0
    grade, carried = _grade(values, profile, none)
    carried |= _beats_not(values, none) & (normal["motility"] == 1.0)
    normal["motility"][carried & (normal["motility"] == 1.0)] = np.nan
    # Too slow even with what the flow adds to it is not normal for sure; else nothing is sure.
    complete &= ~(carried & np.isnan(normal["motility"]))
    score, score_sd = _score(profile, merit, slope_sd)
    score[~complete], score_sd[~complete] = np.nan, np.nan
    if not profile.assesses_motility:
        healthy = normal["morphology"].copy()
    else:
        failed = (normal["morphology"] == 0.0) | (normal["motility"] == 0.0)
        healthy = np.where(failed, 0.0, normal["morphology"] * normal["motility"])
    return Verdicts(
        merit, normal["morphology"], normal["motility"], healthy, grade, score, score_sd, carried
    )


def merit_of(term: Term, value: Float64) -> Float64:
    """Give the merit of values of one term, 0 to 1; NaN where the value is NaN or infinite."""
    x, y = _curve(term)
    known = np.where(np.isfinite(value), value, np.nan)
    return np.asarray(np.interp(known, x, y), dtype=np.float64)


@lru_cache(maxsize=256)
def _curve(term: Term) -> tuple[Float64, Float64]:
    worst_low, low, best_low, best_high, high, worst_high = term.knots
    if np.isinf(best_low) and np.isinf(best_high):
        best_low = best_high = 0.0  # unreachable: a term has a limit
    anchor = best_high if np.isinf(best_low) else best_low
    pairs = [(worst_low, 0.0), (low, 0.5), (anchor, 1.0)]
    pairs += [(best_high, 1.0), (high, 0.5), (worst_high, 0.0)]
    finite = [pair for pair in pairs if np.isfinite(pair[0])]
    x, y = np.array(finite).T
    return x, y


def _score(profile: CriteriaProfile, merit: Float64, merit_sd: Float64) -> tuple[Float64, Float64]:
    """Half the weighted mean of the merits, half the least: nothing makes up for that.

    An unknown has the merit 0 of the worst value: any more, and a sperm whose value is worse than
    that would gain from hiding it.
    """
    weight = np.array([term.weight for term in profile.term])[:, None]
    known = np.isfinite(merit)
    filled = np.where(known, merit, 0.0)
    least = np.argmin(filled, axis=0)
    column = np.arange(merit.shape[1])
    share = weight / weight.sum()
    score = 0.5 * (share * filled).sum(axis=0)
    score += 0.5 * filled[least, column]
    pull = np.repeat(0.5 * share, merit.shape[1], axis=1)
    pull[least, column] += 0.5
    sd = np.sqrt(((pull * merit_sd) ** 2).sum(axis=0))
    nothing = ~known.any(axis=0)
    score[nothing], sd[nothing] = np.nan, np.nan
    return score, sd


def _beats_not(values: Mapping[str, Float64], none: Float64) -> NDArray[np.bool_]:
    """Whether motion across the course is no more than localisation explains; not where unknown."""
    return np.asarray(values.get("swing", none) <= 1.0)


def _grade(
    values: Mapping[str, Float64], profile: CriteriaProfile, none: Float64
) -> tuple[Int8, NDArray[np.bool_]]:
    """Grades, and who moves without beating."""
    if not profile.assesses_motility:
        return np.zeros(len(none), np.int8), np.zeros(len(none), np.bool_)
    speed = values.get(profile.grade_by, none)
    known = np.isfinite(speed)
    grade = np.zeros(len(none), np.int8)
    grade[known] = NONPROGRESSIVE
    floor = values.get("vcl_noise_um_s", np.zeros(len(none)))
    vcl = values.get("vcl_um_s", none)
    grade[known & (vcl <= STILL_FACTOR * np.nan_to_num(floor))] = IMMOTILE
    # Slow swimmers with a small beat have no more VCL than that: speed tells, if they beat at all.
    grade[known & (speed >= profile.progressive_um_s)] = SLOW
    grade[known & (speed >= profile.rapid_um_s)] = RAPID
    carried = known & (grade != IMMOTILE) & _beats_not(values, none)
    grade[carried] = 0
    return grade, carried


def places(score: Float64) -> Float64:
    """Give each sperm its place, 1 the best; equal to the hundredth is a tie; NaN has none."""
    shown = np.round(score, 2)
    place = np.full(len(score), np.nan)
    known = np.isfinite(shown)
    place[known] = 1 + (shown[known][None, :] > shown[known][:, None]).sum(axis=1)
    return place
