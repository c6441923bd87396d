"""Shapes against the specimen's truth, from maps that are true; owners where tails cross."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from models.measure.instances import identity_map
from models.measure.shape_record import COLUMNS, KEPT, LEAST_HEADS, ShapeRecord
from models.measure.shapes import Flag, Shapes, ShapeSettings, measure_shapes
from models.measure.soft import Planes, planes_of, planes_of_logits, planes_of_parts
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.truth_tables import sperm_rows
from models.types import Detections, Float64, Perception

SIZE = (120, 160)


def drawing(
    lines: list[list[tuple[float, float]]], heads: list[tuple[float, float, float]], half: float = 5
) -> tuple[np.ndarray, Float64]:
    """Part map of ellipses (x, y, angle) with polylines as tails, and their boxes."""
    parts = np.zeros(SIZE, np.uint8)
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    for line in lines:
        fine = np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(line)])
        for x, y in fine:
            parts[(u - x) ** 2 + (v - y) ** 2 <= 1.5**2] = 3
    for x, y, angle in heads:
        c, s = np.cos(angle), np.sin(angle)
        along, across = (u - x) * c + (v - y) * s, (v - y) * c - (u - x) * s
        parts[(along / half) ** 2 + (across / (0.6 * half)) ** 2 <= 1.0] = 1
    box = [[x, y, 2 * half, 2 * half] for x, y, _ in heads]
    return parts, np.array(box, float)


def measured(parts: np.ndarray, box: Float64) -> Shapes:
    return measure_shapes(planes_of_parts(parts), box, *SIZE)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.1, 2.0, 2.8])
def test_an_ellipse_with_a_straight_tail(angle: float) -> None:
    x, y, long = 80.3, 60.2, 45.0
    tip = (x - np.cos(angle) * (5 + long), y - np.sin(angle) * (5 + long))
    shapes = measured(*drawing([[(x, y), tip]], [(x, y, angle)]))
    area, length, width, ratio, bend, tail = shapes.values[0]
    assert length == pytest.approx(10.0, rel=0.04)
    assert width == pytest.approx(6.0, rel=0.06)
    assert area == pytest.approx(np.pi * 15.0, rel=0.04)
    assert ratio == pytest.approx(length / width)
    assert abs(bend) < 6.0
    assert tail == pytest.approx(long, rel=0.04)
    assert shapes.axis[0] @ [np.cos(angle), np.sin(angle)] > 0.99
    np.testing.assert_allclose(shapes.centre_px[0], (x, y), atol=0.3)
    assert shapes.flags[0] == 0


def test_the_bend_of_the_neck_has_its_size_and_side() -> None:
    for turn in (-50.0, 35.0, 70.0):
        rear = np.array([-np.cos(0.3), -np.sin(0.3)])
        neck = np.array([80.0, 60.0]) + 5.0 * rear
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        way = np.array([c * rear[0] - s * rear[1], s * rear[0] + c * rear[1]])
        line = [tuple(neck), tuple(neck + 40.0 * way)]
        shapes = measured(*drawing([line], [(80.0, 60.0, 0.3)]))  # type: ignore[list-item]
        assert shapes.values[0, 4] == pytest.approx(turn, abs=12.0)


def test_crossing_tails_keep_their_owners_beyond_the_crossing() -> None:
    # Two tails cross at right angles in the middle of the picture.
    lines = [[(30.0, 60.0), (130.0, 62.0)], [(80.0, 20.0), (82.0, 105.0)]]
    heads = [(26.0, 60.0, 0.0), (80.0, 16.0, np.pi / 2)]
    parts, box = drawing(lines, heads)
    shapes = measured(parts, box)
    owner = identity_map((parts > 0).astype(np.uint8), parts, box, shapes)
    assert owner[62, 115] == 1
    assert owner[60, 50] == 1
    assert owner[98, 82] == 2
    assert owner[40, 80] == 2
    assert owner[16, 80] == 2
    assert (owner[parts > 0] > 0).all()
    assert (owner[parts == 0] == 0).all()
    assert all(Flag(int(f)) & Flag.TAIL_CROSSED for f in shapes.flags)
    assert shapes.values[:, 5] == pytest.approx([99.0, 84.0], rel=0.05)


def test_flags_say_why_not() -> None:
    parts, box = drawing([], [(3.0, 60.0, 0.0), (70.0, 60.0, 0.0), (79.0, 66.0, 0.0)])
    flags = [Flag(int(f)) for f in measured(parts, box).flags]
    assert flags[0] & Flag.BORDER
    assert flags[1] & Flag.OVERLAP
    assert flags[2] & Flag.OVERLAP
    assert all(flag & Flag.TAIL_UNSEEN for flag in flags)
    parts, box = drawing([[(100.0, 60.0), (170.0, 60.0)]], [(95.0, 60.0, 0.0)])
    assert Flag(int(measured(parts, box).flags[0])) & Flag.TAIL_CUT
    parts, box = drawing([[(90, 60), (65, 20)], [(90, 60), (65, 100)]], [(95.0, 60.0, 0.0)])
    assert Flag(int(measured(parts, box).flags[0])) & Flag.TWO_TAILS


@pytest.mark.parametrize("n", [0, 1, 500])
def test_any_boxes_on_any_plane_give_rows(n: int) -> None:
    rng = np.random.default_rng(n)
    plane = rng.random(SIZE).astype(np.float32)
    box = rng.uniform(-50, 200, (n, 4))
    box[::3] = np.nan
    shapes = measure_shapes(Planes(plane, 1 - plane), box, *SIZE)
    assert len(shapes) == n
    assert np.isnan(shapes.values[::3]).all()


def test_grey_moments_of_a_blurred_ellipse_are_finer_than_its_pixels() -> None:
    from scipy.ndimage import gaussian_filter

    v, u = np.mgrid[: 8 * SIZE[0], : 8 * SIZE[1]] / 8.0
    c, s = np.cos(0.5), np.sin(0.5)
    along, across = (u - 80) * c + (v - 60) * s, (v - 60) * c - (u - 80) * s
    inside = ((along / 5) ** 2 + (across / 3) ** 2 <= 1.0).astype(np.float32)
    soft = gaussian_filter(inside, 8 * 0.5).reshape(SIZE[0], 8, SIZE[1], 8).mean(axis=(1, 3))
    plane = soft.astype(np.float32)
    # Pixels of size one and bilinear reading widen by a variance of 1/12 and 1/6.
    settings = ShapeSettings(point_spread_px=float(np.sqrt(0.25 + 1 / 12 + 1 / 6)), grey=True)
    # The picture of 8 x 8 samples has its first pixel's centre at 3.5 / 8.
    box = np.array([[80 - 0.4375, 60 - 0.4375, 13, 11]])
    shapes = measure_shapes(Planes(plane, 0 * plane), box, *SIZE, settings)
    assert shapes.values[0, :3] == pytest.approx([np.pi * 15, 10.0, 6.0], rel=0.01)


def test_planes_of_logits_are_those_of_the_maps() -> None:
    logits = np.full((7, 6, 8), -6.0, np.float32)
    logits[0], logits[3] = 6.0, 6.0
    logits[:, 2, 3] = (-6, 6, -6, -6, 6, -6, -6)
    logits[:, 2, 4] = (-6, -6, 6, -6, -6, 0, 6)
    planes = planes_of_logits(logits, 0.5)
    assert planes.head[2, 3] > 0.99
    assert planes.body[2, 4] > 0.99
    assert planes.head.sum() + planes.body.sum() == pytest.approx(2.0, abs=0.01)
    found = Perception(Detections.empty())
    assert planes_of(found) is None
    parts = np.zeros((12, 16), np.uint8)
    with_maps = planes_of(Perception(Detections.empty(), parts, parts, logits, 0.5))
    assert with_maps is not None
    assert with_maps.per_px == 0.5
    hard = planes_of(Perception(Detections.empty(), parts, parts))
    assert hard is not None
    assert hard.per_px == 1.0


def test_medians_over_frames_against_the_specimen() -> None:
    specimen = Specimen(profile("exam", modality="phase"), 12)
    um = specimen.look.um_per_px
    record, rows = ShapeRecord(um), {}
    for k in range(12):
        truth = specimen.truth(0.1 * k, np.zeros(2), masks=True)
        assert truth.part_map is not None
        shown = np.flatnonzero(truth.visible)
        shapes = measure_shapes(planes_of_parts(truth.part_map), truth.box_px[shown], 480, 640)
        record.add(truth.sperm_id[shown], np.arange(len(shown)), shapes)
        rows |= {row["track_id"]: row for row in sperm_rows(specimen, [truth], 30.0)}
    found = {k: record.shape(k) for k in rows}
    whole = [k for k in found if np.isfinite(found[k].values[0])]
    bounds = dict(zip(COLUMNS, (0.03, 0.02, 0.03, 0.04, None, 0.04), strict=True))
    for column, name in enumerate(COLUMNS):
        known = [k for k in whole if np.isfinite(found[k].values[column]) and rows[k][name] != ""]
        if name == "tail_length_um":
            known = [k for k in known if rows[k]["tail_kind"] == "normal"]
        measured_ = np.array([found[k].values[column] for k in known])
        true = np.array([float(rows[k][name]) for k in known])
        assert len(known) >= 4, name
        assert all(found[k].uncertainty[column] > 0 for k in known)
        if bounds[name] is not None:
            error = np.abs(measured_ - true).sum() / true.sum()
            assert error < bounds[name], (name, error)
        else:
            assert np.median(np.abs(measured_ - true)) < 8.0


def test_without_good_frames_there_is_a_reason_and_no_number() -> None:
    record = ShapeRecord(0.5)
    assert record.shape(1).why_not == "not segmented"
    parts, box = drawing([], [(3.0, 60.0, 0.0), (70.0, 60.0, 0.0)])
    shapes = measured(parts, box)
    for _ in range(LEAST_HEADS):
        assert np.isnan(record.shape(2).values).all()
        record.add(np.array([1, 2, 3]), np.array([0, 1, -1]), shapes)
    assert record.shape(1).why_not == "at the border"
    assert np.isnan(record.shape(1).values).all()
    assert np.isfinite(record.shape(2).values[:4]).all()
    assert np.isnan(record.shape(2).values[4:]).all()
    assert record.shape(2).why_not == ""
    record.keep(np.array([1]))
    assert record.shape(2).why_not == "not segmented"
    with pytest.raises(ValueError, match="um_per_px"):
        ShapeRecord(0.0)


def test_a_known_tail_stays_known_while_as_many_frames_show_it() -> None:
    record, one = ShapeRecord(1.0), measured(*drawing([], [(70.0, 60.0, 0.0)]))

    def see(*tails_um: float) -> float:
        for tail_um in tails_um:
            values = np.array([[12.0, 4.8, 3.1, 1.5, 3.0, tail_um]])
            shapes = replace(one, values=values, flags=np.zeros(1, np.int64))
            record.add(np.array([7]), np.array([0]), shapes)
        return float(record.shape(7).values[5])

    assert np.isnan(see(35.0, 36.0, 34.0))  # three are too few
    assert see(36.0) == pytest.approx(35.5)
    # Two tips too far, or two broken off, and the frames agree upon no other length.
    assert see(52.0, 47.0, 58.0) == pytest.approx(35.5)
    # More that show another length, and that is known; the former one is no ballast.
    assert see(*[48.0] * 9) == pytest.approx(48.0)
    assert np.isnan(see(*np.geomspace(5.0, 300.0, KEPT)))  # none is like another
    assert record.shape(7).tail_why_not == "its frames disagree"
