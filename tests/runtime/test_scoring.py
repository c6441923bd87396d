"""The score counts what it says: true distance from the centre, from 3 s after each choice."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.messages import Mode, MotionState
from app.runtime.scoring import SETTLING_S, Scoring
from models.types import Float64, Tracks


class Truth:
    """Two sperm at rest, and a centre that is off the first by 2 um."""

    def centre_um(self, time_s: float) -> Float64:
        return np.array((2.0, 0.0))

    def nearest(self, position_um: Float64, time_s: float) -> int:
        return 0 if position_um[0] < 50 else 1

    def mean_path_um(self, sperm_id: int, time_s: float, near_um: Float64) -> Float64:
        return np.array((0.0, 0.0)) if sperm_id == 0 else np.array((100.0, 0.0))


def tracks(time_s: float) -> Tracks:
    none = np.zeros(2)
    return Tracks(
        time_s, np.array([5, 6]), np.array([(0.0, 0.0), (100.0, 0.0)]), np.zeros((2, 2)),
        np.zeros((2, 4, 4)), np.zeros((2, 2)), np.zeros((2, 2)), none, none,
        np.ones(2, np.int8), np.zeros(2, np.int8), np.array([0, 1]),
    )  # fmt: skip


def feed(scoring: Scoring, from_s: float, until_s: float, motion: MotionState) -> None:
    for time_s in np.arange(from_s, until_s, 0.1):
        scoring.add(tracks(float(time_s)), motion)


def test_it_counts_after_the_settling_and_only_while_following() -> None:
    scoring = Scoring(Truth())
    feed(scoring, 0.0, 5.0, MotionState(Mode.ARMED))
    assert scoring.result() == (None, None, 0)
    feed(scoring, 5.0, 5.0 + SETTLING_S - 0.05, MotionState(Mode.CENTERING, "", 5))
    assert scoring.result() == (None, None, 0)
    feed(scoring, 5.0 + SETTLING_S + 0.05, 10.0, MotionState(Mode.FOLLOWING, "", 5))
    rms_um, worst_um, counted = scoring.result()
    assert (rms_um, worst_um) == (pytest.approx(2.0), pytest.approx(2.0))
    assert counted == 20
    feed(scoring, 10.0, 20.0, MotionState(Mode.HOLD, "lost", 5))
    assert scoring.result()[2] == counted


def test_another_choice_is_judged_by_its_own_sperm_and_settles_anew() -> None:
    scoring = Scoring(Truth())
    feed(scoring, 0.0, 4.0, MotionState(Mode.FOLLOWING, "", 5))
    feed(scoring, 4.0, 8.0, MotionState(Mode.FOLLOWING, "", 6))
    rms_um, worst_um, counted = scoring.result()
    assert scoring.choices == 2
    assert worst_um == pytest.approx(98.0)
    assert counted == pytest.approx(20, abs=2)
    assert rms_um == pytest.approx(np.sqrt((2.0**2 + 98.0**2) / 2), rel=0.1)
