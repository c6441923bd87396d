"""Criteria: nearer to normal never lowers a score, unknown never ranks, ties are ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.measure.motility import measure_path, vcl_of_jitter
from models.measure.profile import DEFAULT, named_profile, parse_profile, profile_names
from models.measure.reasons import NAMES, reasons, sentence
from models.measure.verdict import GRADES, judge, merit_of, places
from models.specimen.profiles import profile as specimen_profile
from models.specimen.scene import Specimen
from models.specimen.truth_tables import sperm_rows
from models.types import Float64

PROFILES = [named_profile(name) for name in profile_names()]

# Sperm 1 to 6 of Table III: head area, length, width, ellipticity, angle, tail length, then VSL,
# VCL, VAP, ALH, MAD, LIN, WOB, STR. The VCL of sperm 2 is that of the paper's text, 7.24.
TABLE_III = {
    "head_area_um2": [14.63, 12.50, 13.63, 15.00, 14.25, 18.00],
    "head_length_um": [8.49, 5.50, 4.95, 8.01, 7.38, 4.00],
    "head_width_um": [2.92, 3.00, 3.54, 2.50, 2.69, 3.00],
    "head_ellipticity": [2.91, 1.83, 1.40, 3.21, 2.74, 1.33],
    "head_angle_deg": [0.00, 0.00, 0.00, 34.72, 2.76, 53.13],
    "tail_length_um": [26.35, 44.24, 38.60, 56.61, 36.18, 32.78],
    "vsl_um_s": [3.95, 6.81, 11.49, 14.71, 3.74, 0.10],
    "vcl_um_s": [3.99, 7.24, 11.80, 16.93, 3.96, 0.46],
    "vap_um_s": [4.02, 6.67, 11.91, 15.67, 3.77, 1.77],
    "alh_um": [0.27, 1.16, 0.45, 0.48, 0.48, 0.31],
    "mad_deg": [2.74, 2.60, 0.95, 0.07, 9.47, 0.58],
    "lin": [0.99, 0.94, 0.97, 0.87, 0.95, 0.22],
    "wob": [1.01, 0.92, 1.01, 0.93, 0.95, 3.87],
    "str": [0.98, 1.02, 0.97, 0.94, 0.99, 0.06],
}


def columns(**values: list[float]) -> dict[str, Float64]:
    return {name: np.array(column, float) for name, column in values.items()}


def good(profile_name: str, n: int) -> dict[str, Float64]:
    """Give ``n`` sperm that are at the best of every term."""
    values = {}
    for term in named_profile(profile_name).term:
        _, _, low, high, _, _ = term.knots
        values[term.measure] = np.full(n, low if np.isfinite(low) else high)
    return values


def test_the_papers_ticks() -> None:
    verdicts = judge(columns(**TABLE_III), named_profile("paper"))
    assert verdicts.morphology_normal.tolist() == [0, 1, 1, 0, 0, 0]
    assert verdicts.motility_normal.tolist() == [0, 0, 1, 1, 0, 0]
    assert verdicts.healthy.tolist() == [0, 0, 1, 0, 0, 0]
    assert np.nanargmax(verdicts.score) == 2


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_nearer_to_normal_never_lowers_the_score(profile, data) -> None:  # type: ignore[no-untyped-def]
    values = {}
    for term in profile.term:
        values[term.measure] = np.full(2, data.draw(st.floats(0.0, 120.0)))
    term = data.draw(st.sampled_from(profile.term))
    _, _, best_low, best_high, _, _ = term.knots
    far = values[term.measure][0]
    nearest = min(max(far, best_low), best_high)
    values[term.measure][1] = far + data.draw(st.floats(0.0, 1.0)) * (nearest - far)
    verdicts = judge(values, profile)
    assert verdicts.score[1] >= verdicts.score[0] - 1e-12
    for name in ("morphology_normal", "motility_normal", "healthy"):
        first, second = getattr(verdicts, name)
        assert second >= first or (
            np.isnan([first, second]).all() and not profile.assesses_motility
        )


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_the_best_sperm_is_normal_and_has_the_full_score(profile) -> None:  # type: ignore[no-untyped-def]
    verdicts = judge(good(profile.name, 1), profile)
    assert verdicts.score[0] == pytest.approx(1.0)
    assert verdicts.healthy[0] == 1.0
    for term in profile.term:
        for limit in (term.low, term.high):
            if limit is not None:
                assert 0.5 <= merit_of(term, np.array([limit]))[0] <= 1.0


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_unknown_never_ranks_and_never_passes(profile) -> None:  # type: ignore[no-untyped-def]
    for term in profile.term:
        values = good(profile.name, 2)
        values[term.measure][1] = np.nan
        verdicts = judge(values, profile)
        if term.needed:
            assert np.isnan(verdicts.score[1])
            assert np.isnan(places(verdicts.score)[1])
            assert not verdicts.healthy[1] == 1.0
        else:
            assert np.isfinite(verdicts.score[1])
    nothing = judge({"vap_um_s": np.full(3, np.nan)}, profile)
    for column in (nothing.score, nothing.healthy, nothing.motility_normal):
        assert np.isnan(column).all()
    assert (nothing.grade == 0).all()
    assert len(judge({}, profile)) == 0


def test_what_is_surely_broken_is_not_normal_even_if_the_rest_is_unknown() -> None:
    verdicts = judge(columns(head_width_um=[2.0], vap_um_s=[40.0]), named_profile())
    assert verdicts.morphology_normal[0] == 0.0
    assert verdicts.healthy[0] == 0.0
    assert np.isnan(verdicts.score[0])


def test_a_limit_is_broken_by_more_than_the_uncertainty() -> None:
    values = good(DEFAULT, 2)
    values["head_width_um"][:] = 2.45
    sure, vague = {"head_width_um": np.array([0.01, 0.1])}, named_profile()
    assert judge(values, vague, sure).morphology_normal.tolist() == [0.0, 1.0]
    assert (judge(values, vague, sure).score_sd > 0.0).all()


def test_ties_are_ties() -> None:
    place = places(np.array([0.801, 0.804, np.nan, 0.9, 0.5]))
    assert place[[0, 1, 3, 4]].tolist() == [2, 2, 1, 4]
    assert np.isnan(place[2])


def test_grades_of_the_who_manual() -> None:
    values = columns(
        vap_um_s=[25.0, 24.9, 5.0, 4.9, 1.8, np.nan], vcl_um_s=[60, 60, 20, 20, 8, np.nan],
        vcl_noise_um_s=[8.0] * 6,
    )  # fmt: skip
    grade = judge(values, named_profile()).grade
    words = ["rapid", "slow", "slow", "nonprogressive", "immotile", ""]
    assert [GRADES[g] for g in grade] == words


def test_reasons_say_value_limit_and_frames() -> None:
    profile = named_profile()
    values = {"head_length_um": 5.0, "head_width_um": 2.4, "head_ellipticity": 2.08}
    arrays = {name: np.array([v]) for name, v in values.items()}
    merit = judge(arrays, profile).merit[:, 0]
    merits = {t.measure: float(m) for t, m in zip(profile.term, merit, strict=True)}
    found = reasons(values, merits, profile, {"head_ellipticity": 0.1}, {"head_width_um": 12})
    assert found[0].text == "head width 2.4 um, below 2.5 (12 frames)"
    assert found[0].broken
    text = sentence(found, profile)
    assert "ellipticity 2.08, at the limit of 2.0" in text
    assert "head length 5.0 um;" in text
    assert "tail length not known: the worst is assumed in the score" in text
    assert "VAP not known: no score without it" in text
    assert text.endswith("not assessed: acrosome, vacuoles, midpiece width, DNA")
    assert {term.measure for one in PROFILES for term in one.term} <= set(NAMES)


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("head_width_um", 2.46, "head width 2.46 um, below 2.5"),
        ("vap_um_s", 4.97, "VAP 4.97 um/s, below 5.0"),
        ("head_angle_deg", 45.4, "neck bend 45.4 deg, above 45"),
        ("head_ellipticity", 2.004, "ellipticity 2.004, above 2.00"),
    ],
)
def test_no_value_is_written_as_the_limit_that_it_breaks(
    measure: str, value: float, text: str
) -> None:
    found = reasons({measure: value}, {measure: 0.4}, named_profile())
    assert found[0].text == text
    assert found[0].broken


@pytest.mark.parametrize("modality", ["brightfield", "phase"])
def test_normal_sperm_of_the_specimen_satisfy_the_default_profile(modality: str) -> None:
    specimen = Specimen(specimen_profile("exam", modality=modality), 5)
    truth = [specimen.truth(k / 30, np.zeros(2)) for k in range(2)]
    rows = sperm_rows(specimen, truth, 30.0)
    names = [t.measure for t in named_profile().term if t.group == "morphology"]
    values = {n: np.array([float(r[n]) if r[n] != "" else np.nan for r in rows]) for n in names}
    verdicts = judge(values, named_profile())
    truly = np.array([r["morphology_normal"] == 1 for r in rows])
    assert truly.any()
    assert (verdicts.morphology_normal[truly] == 1.0).all()
    # What is wrong with amorphous heads and double tails does not show in these numbers.
    told = np.array([r["head_kind"] != "amorphous" and r["tail_kind"] != "double" for r in rows])
    assert (verdicts.morphology_normal[~truly & told] == 0.0).mean() > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("low = 9.0", "worst_low < low"),
        ("lowest = 4.0", "lowest"),
        ("low = 'x'", "low"),
        ("worst_high = 3.0", "worst_high"),
        ("best_low = 4.6", "best_low without low"),
        ("worst_low = 3.0", "worst_low without low"),
        ("weight = true", "weight"),
        ("low = true", "low"),
        ('low = "5.0"', "low"),
        ("needed = 1", "needed"),
        ("x = " + "[" * 5000, "not valid TOML"),
        ("=", "not valid TOML"),
        ("weight = 1" + "0" * 5000, "too many digits"),
    ],
)
def test_a_bad_profile_gets_one_line(change: str, message: str) -> None:
    text = (
        'version = 1\nname = "mine"\ntitle = "t"\nsource = "s"\nmedium = "m"\n'
        "temperature_c = 37.0\n"
        f'[[term]]\nmeasure = "head_length_um"\ngroup = "morphology"\nhigh = 5.5\n{change}\n'
    )
    with pytest.raises(ModelError, match=message) as caught:
        parse_profile(text, "mine.toml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("mine.toml")


def test_the_other_limit_has_its_best_refused_too() -> None:
    text = (
        'version = 1\nname = "mine"\ntitle = "t"\nsource = "s"\nmedium = "m"\n'
        'temperature_c = 37.0\n[[term]]\nmeasure = "vap_um_s"\ngroup = "motility"\nlow = 5.0\n'
    )
    with pytest.raises(ModelError, match="best_high without high"):
        parse_profile(text + "best_high = 40.0\n", "mine.toml")
    limit_alone = parse_profile("\ufeff" + text, "mine.toml").term[0]  # as Notepad writes it
    merit = merit_of(limit_alone, np.linspace(3.0, 7.0, 401))
    assert merit[200] == pytest.approx(0.5)
    assert np.abs(np.diff(merit)).max() < 0.01  # continuous at the limit, too
    assert merit[-1] == 1.0


def test_a_limit_that_does_not_judge_says_so() -> None:
    profile = named_profile()
    found = reasons({"lin": 0.18, "head_width_um": 2.4}, {"lin": 0.3}, profile)
    text = sentence(found, profile)
    assert "LIN 0.18, below 0.30, in the score only" in text
    assert "head width 2.4 um, below 2.5;" in text


def test_a_fixed_smear_is_judged_by_its_morphology() -> None:
    profile = named_profile("who6_stained")
    values = good("who6_stained", 2) | columns(vap_um_s=[0.4, np.nan], swing=[0.7, np.nan])
    values["head_width_um"][1] = 4.0
    verdicts = judge(values, profile)
    assert verdicts.healthy.tolist() == [1.0, 0.0]
    assert np.isnan(verdicts.motility_normal).all()
    assert verdicts.grade.tolist() == [0, 0]
    assert verdicts.score[0] == pytest.approx(1.0)
    assert "not assessed: motility" in sentence(reasons({}, {}, profile), profile)


def test_an_unknown_profile_names_those_that_there_are() -> None:
    with pytest.raises(ModelError, match="who6_wet, paper, pvp, who6_stained"):
        named_profile("best")


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_of_500_still_cells_none_is_progressive(fps: float) -> None:
    rng = np.random.default_rng(7)
    time_s = np.arange(round(fps) + 1) / fps
    found = [measure_path(time_s, rng.normal(0.0, 0.15, (len(time_s), 2))) for _ in range(500)]
    values = {n: np.array([one.values[n] for one in found]) for n in ("vap_um_s", "vcl_um_s")}
    values["vcl_noise_um_s"] = np.full(500, vcl_of_jitter(fps))
    grades = [GRADES[g] for g in judge(values, named_profile()).grade]
    assert grades.count("immotile") == 500


@pytest.mark.parametrize("speed_um_s", [2.0, 5.0, 12.0, 25.0])
def test_slow_speeds_are_right_to_half_a_micrometre_a_second(speed_um_s: float) -> None:
    rng = np.random.default_rng(8)
    time_s = np.arange(61) / 30.0
    straight = np.stack([speed_um_s * time_s, 0.6 * np.sin(2 * np.pi * 5.0 * time_s)], axis=1)
    for _ in range(20):
        seen = measure_path(time_s, straight + rng.normal(0.0, 0.1, straight.shape)).values
        assert seen["vsl_um_s"] == pytest.approx(speed_um_s, abs=0.5)
        assert seen["vap_um_s"] == pytest.approx(speed_um_s, abs=0.5)


def test_what_is_best_but_uncertain_has_an_uncertain_score() -> None:
    profile = named_profile("who6_wet")
    best = {
        "head_length_um": 4.85, "head_width_um": 3.05, "head_ellipticity": 1.6,
        "head_angle_deg": 3.0, "tail_length_um": 46.0, "vap_um_s": 60.0, "lin": 0.9,
    }  # fmt: skip
    values = {name: np.array([value, value]) for name, value in best.items()}
    sure = {"head_width_um": np.array([0.01, 0.8])}
    found = judge(values, profile, sure)
    assert found.score[0] == found.score[1] == pytest.approx(1.0)
    assert found.score_sd[0] == pytest.approx(0.0, abs=1e-9)
    assert found.score_sd[1] > 0.05
