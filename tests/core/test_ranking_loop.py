"""From pictures to the first place: the network in the loop, time that of the specimen."""

from __future__ import annotations

import math

import numpy as np

from app.core.pipeline import Findings
from app.rig.bench_ranking import RankingRun, make_steady, run_ranking
from models.sfcnet.runtime import load_shipped
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.types import Measurements, Tracks, TrackState


def test_each_sperm_has_its_verdict_after_three_seconds_or_is_told_what_is_missing() -> None:
    found = run_ranking(load_shipped(), 3.2, seed=11, modality="phase", sperm=20)
    assert int(str(found["entered"])) >= 10
    assert found["neither"] == 0
    assert found["without_progress"] == 0
    assert int(str(found["verdict_within_3_s"])) >= 0.6 * int(str(found["entered"]))
    assert int(str(found["changes"])) <= 1
    assert len(found["reasons"]) == found["changes"]  # type: ignore[arg-type]


def test_steady_sperm_stay_where_they_are() -> None:
    specimen = Specimen(profile("exam", density=20), 5)
    make_steady(specimen)
    sperm = specimen.nearest(np.zeros(2), 0.0)
    path = np.array([specimen.mean_path_um(sperm, t) for t in np.arange(0.0, 12.0, 1.0)])
    assert np.hypot(*(path - path[0]).T).max() < 45.0


def findings(time_s: float, told: tuple[str, ...], score: float, seen: bool = True) -> Findings:
    row = np.zeros((1, 2))
    tracks = Tracks(
        time_s, np.array([4]), row, row, np.zeros((1, 4, 4)), row, row, np.ones(1), np.ones(1),
        np.full(1, TrackState.CONFIRMED, np.int8), np.zeros(1, np.int8),
        np.array([0 if seen else -1]),
    )  # fmt: skip
    measured = Measurements(
        np.array([4]), {"score": np.array([score])}, ("insufficient track",), ("",), (told,)
    )
    return Findings(tracks, row, measured, ())


def test_the_bench_counts_verdicts_reasons_and_those_without_either() -> None:
    for told, score, seen, keys in (
        (("head: 2 of 4 good frames",), math.nan, True, (1, 0, 1)),
        ((), 0.7, True, (1, 1, 0)),
        ((), 0.7, False, (0, 0, 0)),
    ):
        run = RankingRun()
        for k in range(100):
            run.add(findings(k / 30.0, told, score if k == 75 else math.nan, seen))
        result = run.result(100 / 30.0)
        found = tuple(result[key] for key in ("entered", "verdict_within_3_s", "insufficient"))
        assert found == keys
