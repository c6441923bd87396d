"""Verdicts while the sperm swim, from true maps of the specimen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from models.measure.grey_head import with_grey_heads
from models.measure.live import LiveMotility
from models.measure.live_verdict import SHAPES_S, LiveVerdict
from models.measure.paper_head import with_paper_heads
from models.measure.profile import named_profile
from models.measure.reasons import CARRIED
from models.measure.shape_record import LEAST_HEADS, ShapeRecord
from models.measure.shapes import Shapes, measure_shapes
from models.measure.soft import planes_of
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.truth_tables import sperm_rows
from models.types import Detections, Measurements, Perception, SpermClass, Tracks, TrackState

FPS = 30.0
BEAT_UM = (0.0, 1.5, -1.5)  # of three frames: 10 Hz
Last = tuple[Measurements, Specimen, list[Measurements]]


def as_tracks(time_s: float, track_id: np.ndarray, raw_um: np.ndarray) -> Tracks:
    n = len(track_id)
    return Tracks(
        time_s, track_id, raw_um, np.zeros((n, 2)), np.zeros((n, 4, 4)), raw_um,
        np.full((n, 2), 10.0), np.ones(n), np.ones(n),
        np.full(n, TrackState.CONFIRMED, np.int8), np.zeros(n, np.int8), np.arange(n),
    )  # fmt: skip


def shown_by(
    verdict: LiveVerdict, tracks: Tracks, measured: Measurements, perception: Perception | None
) -> Measurements:
    """What is shown of a frame once it has been learnt from."""
    verdict.renew(tracks, measured, perception)
    return verdict.known(tracks, measured)


@pytest.fixture(scope="module")
def last() -> Last:
    """Three and a half seconds of a specimen, seen truly."""
    specimen = Specimen(profile("exam"), 31)
    motility = LiveMotility()
    verdict = LiveVerdict(specimen.look.um_per_px, 480, 640)
    history = []
    for k in range(round(3.5 * FPS)):
        masks = k % 5 == 0  # more often than shapes are looked at
        truth = specimen.truth(k / FPS, np.zeros(2), masks=masks)
        shown = np.flatnonzero(truth.visible)
        tracks = as_tracks(k / FPS, truth.sperm_id[shown], truth.position_um[shown])
        perception = None
        if masks:
            found = Detections(
                truth.box_px[shown].astype(np.float32), np.ones(len(shown), np.float32),
                np.zeros(len(shown), np.int8),
            )  # fmt: skip
            perception = Perception(found, truth.class_map, truth.part_map)
        history.append(shown_by(verdict, tracks, motility.update(tracks), perception))
    return history[-1], specimen, history


def test_a_verdict_within_three_seconds_or_a_reason(last: Last) -> None:
    measured, _, history = last
    score = measured.values["score"]
    assert np.isfinite(score).mean() > 0.6
    for k in range(len(measured)):
        if not measured.reasons[k]:  # it came after the last verdict
            assert math.isnan(score[k])
            assert measured.quality[k] != "ok"
            continue
        if math.isnan(score[k]):
            why = measured.reasons[k][0]
            assert why.startswith("head:") or why == CARRIED or measured.quality[k] != "ok"
        else:
            assert 0.0 <= score[k] <= 1.0
            assert measured.values["frames"][k] >= LEAST_HEADS
            assert measured.values["score_sd"][k] > 0.0
            assert measured.grade[k] or measured.reasons[k][0] == CARRIED
    assert all(np.isnan(one.values["score"]).all() for one in history[:20])


def test_healthy_is_what_the_specimen_says(last: Last) -> None:
    measured, specimen, _ = last
    truth = specimen.truth((3.5 * FPS - 1) / FPS, np.zeros(2))
    rows = {r["track_id"]: r for r in sperm_rows(specimen, [truth], FPS)}
    right: dict[bool, list[bool]] = {True: [], False: []}
    for k, track in enumerate(measured.track_id.tolist()):
        told = measured.values["morphology_normal"][k]
        kinds = rows[track]["head_kind"], rows[track]["tail_kind"]
        if math.isnan(told) or "amorphous" in kinds or "double" in kinds:
            continue
        normal = int(truth.label[truth.sperm_id == track][0]) == SpermClass.NORMAL
        right[normal].append(bool(told) == normal)
    assert np.mean(right[True]) > 0.85
    assert np.mean(right[False]) > 0.7


def test_scores_hold_between_verdicts_and_follow_their_tracks(last: Last) -> None:
    _, _, history = last
    changes = 0
    for before, now in pairwise(history[60:]):
        old = dict(zip(before.track_id.tolist(), before.values["score"].tolist(), strict=True))
        new = dict(zip(now.track_id.tolist(), now.values["score"].tolist(), strict=True))
        changes += any(new[t] != old[t] for t in old.keys() & new.keys() if old[t] == old[t])
    assert 2 <= changes <= 8


def test_without_maps_there_is_motility_and_no_score() -> None:
    verdict, motility = LiveVerdict(0.5, 480, 640), LiveMotility()
    for k in range(60):
        place = np.array([[k * 1.5, BEAT_UM[k % 3]], [50.0, 50.0]])
        tracks = as_tracks(k / FPS, np.array([3, 8]), place)
        found = shown_by(verdict, tracks, motility.update(tracks), Perception(Detections.empty()))
    assert np.isnan(found.values["score"]).all()
    assert found.grade == ("rapid", "immotile")
    assert found.reasons[0][0] == "head: not segmented"
    empty = shown_by(verdict, Tracks.empty(3.0), motility.update(Tracks.empty(3.0)), None)
    assert len(empty) == 0
    assert empty.values["score"].shape == (0,)


def test_a_clock_that_is_set_back_does_not_stop_the_verdicts() -> None:
    verdict, motility = LiveVerdict(0.5, 480, 640), LiveMotility()
    for offset_s in (100.0, 0.0):
        for k in range(45):
            place = np.array([[k * 1.5, BEAT_UM[k % 3]]])
            tracks = as_tracks(offset_s + k / FPS, np.array([1]), place)
            found = shown_by(verdict, tracks, motility.update(tracks), None)
    assert found.grade == ("rapid",)


def test_heads_are_fitted_a_few_at_a_time_and_all_of_them() -> None:
    specimen = Specimen(profile("exam"), 33)
    um = specimen.look.um_per_px
    verdict, motility = LiveVerdict(um, 480, 640), LiveMotility()
    at_once = ShapeRecord(um)
    looked_s = -math.inf
    for k in range(55):
        time_s = k / FPS
        due = time_s - looked_s >= SHAPES_S
        truth = specimen.truth(time_s, np.zeros(2), masks=due)
        shown = np.flatnonzero(truth.visible)
        tracks = as_tracks(time_s, truth.sperm_id[shown], truth.position_um[shown])
        perception, image = None, None
        if due:
            looked_s = time_s
            found = Detections(
                truth.box_px[shown].astype(np.float32), np.ones(len(shown), np.float32),
                np.zeros(len(shown), np.int8),
            )  # fmt: skip
            perception = Perception(found, truth.class_map, truth.part_map)
            image = specimen.render(time_s, 0.008, lambda t: np.zeros((len(t), 2)))
            planes = planes_of(perception)
            assert planes is not None
            shapes = measure_shapes(planes, found.box_px, 480, 640)
            shapes = with_grey_heads(shapes, planes, image, found.box_px, um)
            at_once.add(tracks.track_id, tracks.detection, shapes)
        verdict.renew(tracks, motility.update(tracks), perception, image)
    known = 0
    for track in tracks.track_id.tolist():
        spread, whole = verdict.record.shape(track), at_once.shape(track)
        assert verdict.record.frames(track) == at_once.frames(track)
        np.testing.assert_array_equal(spread.values, whole.values)
        known += int(at_once.frames(track) > 2)
    assert known > 10


def test_what_moves_without_beating_is_not_called_progressive() -> None:
    rng = np.random.default_rng(2)
    verdict, motility = LiveVerdict(0.5, 480, 640, named_profile("pvp")), LiveMotility()
    for k in range(90):
        x_um = 2.5 * k / FPS  # a flow carries the first; the second swims in a medium at rest
        place = np.array([[x_um, 0.0], [x_um, 0.5 * np.sin(2 * np.pi * 5.0 * k / FPS) + 50.0]])
        tracks = as_tracks(k / FPS, np.array([3, 8]), place + rng.normal(0.0, 0.1, (2, 2)))
        found = shown_by(verdict, tracks, motility.update(tracks), None)
    assert found.grade[1] == "slow"
    assert found.grade[0] in ("", "immotile")
    assert not found.values["motility_normal"][0] == 1.0
    assert CARRIED in found.reasons[0]
    assert found.values["motility_normal"][1] == 1.0


def swimming(
    across_um: Callable[[float], float], seconds: float, seed: int
) -> Iterator[tuple[float, float, Measurements]]:
    """Yield time, swing of the last second, and what is known of one sperm, once it is."""
    rng = np.random.default_rng(seed)
    verdict, motility = LiveVerdict(0.5, 480, 640), LiveMotility()
    for k in range(round(seconds * FPS)):
        time_s = k / FPS
        place = np.array([[25.0 * time_s, across_um(time_s)]]) + rng.normal(0.0, 0.1, (1, 2))
        tracks = as_tracks(time_s, np.array([3]), place)
        live = motility.update(tracks)
        found = shown_by(verdict, tracks, live, None)
        if time_s > 1.5:
            yield time_s, float(live.values["swing"][0]), found


def test_a_second_without_a_beat_does_not_undo_what_many_with_one_have_shown() -> None:
    def across_um(time_s: float) -> float:
        return 0.0 if 5.0 <= time_s < 7.0 else 0.5 * math.sin(2 * math.pi * 7.0 * time_s)

    for time_s, swing, found in swimming(across_um, 8.0, seed=4):
        if 6.1 < time_s < 7.0:
            assert swing <= 1.0  # of the last second alone one would say so
        assert CARRIED not in found.reasons[0], time_s
        assert found.values["motility_normal"][0] == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_a_beat_that_is_hardly_seen_does_not_come_and_go(seed: int) -> None:
    def across_um(time_s: float) -> float:
        return 0.25 * math.sin(2 * math.pi * 7.3 * time_s)

    told: list[bool] = []
    swings: list[float] = []
    for _, swing, found in swimming(across_um, 20.0, seed):
        told.append(CARRIED in found.reasons[0])
        swings.append(swing)
    assert np.mean(np.array(swings) <= 1.0) > 0.1  # the single seconds do not agree
    assert np.abs(np.diff(np.array(told, float))).sum() <= 1


def test_speeds_of_long_ago_are_no_verdict() -> None:
    verdict, motility = LiveVerdict(0.5, 480, 640), LiveMotility()
    graded = {}
    for k in range(round(9 * FPS)):
        place = np.array([[50.0 * k / FPS, BEAT_UM[k % 3]]])
        if k > 2 * FPS and k % 12 >= 5:  # never seen for half a second without a long gap
            place[:] = np.nan
        tracks = as_tracks(k / FPS, np.array([3]), place)
        found = shown_by(verdict, tracks, motility.update(tracks), None)
        graded[k] = found.grade[0]
    assert graded[2 * FPS] == graded[4 * FPS] == "rapid"
    assert found.quality == ("insufficient track",)
    assert found.grade == ("",)
    assert math.isnan(found.values["motility_normal"][0])
    assert "VAP not known: no score without it" in found.reasons[0]


def test_the_papers_angle_to_the_picture_is_no_bend_of_the_neck() -> None:
    verdict = LiveVerdict(0.5, 480, 640, named_profile("paper"))
    shape = np.array([[60.0, 10.0, 6.0, 1.7, 80.0, 90.0]])  # px; 80 degrees to the rows
    for k in range(LEAST_HEADS + 1):
        tracks = as_tracks(0.5 * k, np.array([3]), np.array([[9.0, 9.0]]))
        nowhere, none = np.full((1, 2), np.nan), np.zeros(1, np.int64)
        seen = Shapes(shape, nowhere, nowhere, none, np.zeros((1, 0, 2)), none)
        verdict.record.add(tracks.track_id, tracks.detection, seen)
        found = shown_by(verdict, tracks, LiveMotility().update(tracks), None)
    assert found.values["head_length_um"] == pytest.approx([5.0])
    assert np.isnan(found.values["head_angle_deg"]).all()


@pytest.mark.parametrize("name", ["paper", "who6_wet"])
def test_heads_are_measured_by_the_estimators_of_the_criteria(name: str) -> None:
    specimen = Specimen(profile("exam"), 33)
    um = specimen.look.um_per_px
    verdict, motility = LiveVerdict(um, 480, 640, named_profile(name)), LiveMotility()
    papers = ShapeRecord(um)
    for k in range(6):
        truth = specimen.truth(0.5 * k, np.zeros(2), masks=True)
        shown = np.flatnonzero(truth.visible)
        tracks = as_tracks(0.5 * k, truth.sperm_id[shown], truth.position_um[shown])
        found = Detections(
            truth.box_px[shown].astype(np.float32), np.ones(len(shown), np.float32),
            np.zeros(len(shown), np.int8),
        )  # fmt: skip
        perception = Perception(found, truth.class_map, truth.part_map)
        image = specimen.render(0.5 * k, 0.008, lambda t: np.zeros((len(t), 2)))
        verdict.renew(tracks, motility.update(tracks), perception, image)
        planes = planes_of(perception)
        assert planes is not None
        assert truth.part_map is not None
        shapes = measure_shapes(planes, found.box_px, 480, 640)
        shapes = with_paper_heads(shapes, truth.part_map, found.box_px)
        papers.add(tracks.track_id, tracks.detection, shapes)
    length_um = {
        t: (verdict.record.shape(t).values[1], papers.shape(t).values[1])
        for t in tracks.track_id.tolist()
    }
    known = np.array([pair for pair in length_um.values() if np.isfinite(pair).all()])
    assert len(known) > 5
    assert np.array_equal(known[:, 0], known[:, 1]) == (name == "paper")
