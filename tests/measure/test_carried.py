"""What the medium carries is not called a swimmer; what swims slowly and beats is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.measure.motility import Motility, measure_path, vcl_of_jitter
from models.measure.profile import named_profile, profile_names
from models.measure.verdict import GRADES, Verdicts, judge
from models.specimen.profiles import profile as specimen_profile
from models.specimen.scene import Specimen


def verdicts_of(found: list[Motility], name: str) -> Verdicts:
    values = {n: np.array([one.values[n] for one in found]) for n in found[0].values}
    values["swing"] = np.array([one.swing for one in found])
    values["vcl_noise_um_s"] = np.array([vcl_of_jitter(one.frame_rate_hz) for one in found])
    return judge(values, named_profile(name))


@pytest.mark.parametrize("name", [n for n in profile_names() if n != "who6_stained"])
@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("curved", [False, True])
def test_hardly_a_dead_cell_is_progressive_however_fast_it_is_carried(
    name: str, fps: float, curved: bool
) -> None:
    rng = np.random.default_rng(4)
    t = np.arange(round(2 * fps) + 1) / fps
    found = []
    for flow_um_s in np.linspace(0.5, 30.0, 300):
        turn = (0.3 if curved else 0.0) * t
        way = np.stack([np.cos(turn), np.sin(turn)], axis=1) * flow_um_s / fps
        found.append(measure_path(t, np.cumsum(way, axis=0) + rng.normal(0, 0.15, way.shape)))
    verdicts = verdicts_of(found, name)
    told = np.array([GRADES[g] for g in verdicts.grade])
    assert np.isin(told, ("slow", "rapid")).sum() <= 6  # by chance: 1 or 2 in a hundred
    assert (verdicts.motility_normal == 1.0).sum() <= 6
    assert verdicts.carried.any()


def test_a_still_cell_is_immotile_and_not_carried() -> None:
    rng = np.random.default_rng(5)
    t = np.arange(61) / 30.0
    found = [measure_path(t, rng.normal(0, 0.15, (len(t), 2))) for _ in range(100)]
    verdicts = verdicts_of(found, "pvp")
    assert {GRADES[g] for g in verdicts.grade} == {"immotile"}
    assert not verdicts.carried.any()


@pytest.mark.parametrize(
    ("pace", "name", "slowest_um_s", "kept"), [(0.2, "pvp", 2.2, 0.85), (1.0, "who6_wet", 6.0, 1.0)]
)
def test_swimmers_of_the_specimen_keep_their_grade(
    pace: float, name: str, slowest_um_s: float, kept: float
) -> None:
    rng = np.random.default_rng(6)
    found = []
    t = np.arange(91) / 30.0
    for seed in (9900, 9901):
        specimen = Specimen(replace(specimen_profile("exam"), pace=(pace, pace)), seed)
        for sperm in specimen.truth(0.0, np.zeros(2)).sperm_id.tolist():
            head_um = np.array([specimen.head_um(sperm, time_s) for time_s in t.tolist()])
            if np.hypot(*(head_um[-1] - head_um[0])) / t[-1] >= slowest_um_s:
                found.append(measure_path(t, head_um + rng.normal(0, 0.1, head_um.shape)))
    assert len(found) >= 15
    told = np.array([GRADES[g] for g in verdicts_of(found, name).grade])
    assert np.isin(told, ("slow", "rapid")).mean() >= kept
    assert set(told) <= {"slow", "rapid", ""}  # what is lost is not known, never denied
