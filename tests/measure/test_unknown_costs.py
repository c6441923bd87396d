"""Unknown never puts a sperm ahead, whatever the profile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.measure.profile import CriteriaProfile, named_profile, profile_names
from models.measure.verdict import judge
from models.types import Float64

PROFILES = [named_profile(name) for name in profile_names()]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
@given(data=st.data())
@settings(deadline=None, max_examples=80)
def test_hiding_a_value_never_raises_the_score(
    profile: CriteriaProfile, data: st.DataObject
) -> None:
    values = {}
    for term in profile.term:
        finite = [knot for knot in term.knots if np.isfinite(knot)]
        reach = st.floats(min(finite) - 1.0, max(finite) + 1.0)
        known = term.needed or data.draw(st.booleans())
        values[term.measure] = np.full(2, data.draw(reach) if known else np.nan)
    hidden = data.draw(st.sampled_from(profile.term))
    values[hidden.measure][1] = np.nan
    verdicts = judge(values, profile)
    if hidden.needed:
        assert np.isnan(verdicts.score[1])
    else:
        assert verdicts.score[1] <= verdicts.score[0] + 1e-12


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_what_is_infinite_is_unknown(profile: CriteriaProfile, infinite: float) -> None:
    for hidden in profile.term:
        values: dict[str, Float64] = {t.measure: np.full(2, t.knots[2]) for t in profile.term}
        values[hidden.measure] = np.array([infinite, np.nan])
        verdicts = judge(values, profile)
        assert np.isnan(verdicts.merit[profile.term.index(hidden)]).all()
        np.testing.assert_array_equal(verdicts.score[0], verdicts.score[1])


def test_a_cut_tail_is_not_ahead_of_one_that_is_known() -> None:
    profile = named_profile()
    values: dict[str, Float64] = {t.measure: np.full(2, t.knots[2]) for t in profile.term}
    values["head_angle_deg"] = np.full(2, 5.0)
    values["tail_length_um"] = np.array([33.0, np.nan])
    score = judge(values, profile).score
    assert score[0] > score[1]


def test_a_still_cell_is_not_ahead_of_one_that_swims_in_circles() -> None:
    profile = named_profile()
    values = {t.measure: np.full(2, t.knots[2]) for t in profile.term}
    values["head_angle_deg"] = np.full(2, 5.0)
    values["vap_um_s"] = np.array([1.0, 1.1])
    values["lin"] = np.array([np.nan, 0.05])
    score = judge(values, profile).score
    assert score[0] < score[1]
