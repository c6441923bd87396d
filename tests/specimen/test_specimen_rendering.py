"""Splats, noise, morphology: each part of a picture by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.specimen.morphology import HeadKind, TailKind, draw_anatomy
from models.specimen.noise import correlated_tile, expose
from models.specimen.optics import draw_look, make_tables
from models.specimen.profiles import WetLimits, profile
from models.specimen.scene import Specimen
from models.specimen.splat import splat_bodies, splat_strokes
from models.specimen.truth_tables import sperm_rows

LOOK = draw_look(profile("exam"), np.random.default_rng(0))
TABLES = make_tables(LOOK)


def stroke(canvas, x, y, *, sd=1.4, first=0, step=1):
    points = np.array([x], float), np.array([y], float)
    full = np.full(points[0].shape, sd)
    line = np.exp(-0.5 * (np.arange(len(TABLES.line)) * 0.05) ** 2).astype(np.float32)
    splat_strokes(canvas, *points, full, full * 0 + 1, line, TABLES.step, first, step, 1.0)


def body(canvas, x, y, *, angle=0.3, first=0, step=1, weight=1.0):
    one = np.ones(1)
    shape = np.array([[5.0, 3.2, 0.1, 0.0, 0.0, 0.0]])
    splat_bodies(canvas, one * x, one * y, one * math.cos(angle), one * math.sin(angle), shape,
                 -0.7 * one, 0 * one, TABLES.edge, TABLES.blur_um, 0.495, first, step,
                 weight)  # fmt: skip


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, 2.5])
def test_a_stroke_has_the_weight_of_its_length(angle):
    canvas = np.zeros((200, 200), np.float32)
    along = np.linspace(-40, 40, 20)
    stroke(canvas, 100.2 + along * math.cos(angle), 99.7 + along * math.sin(angle))
    assert canvas.sum() == pytest.approx(80 * 1.4 * math.sqrt(2 * math.pi), rel=0.02)
    assert canvas.max() == pytest.approx(1.0, abs=0.03)


def test_a_bent_stroke_has_no_beads_at_its_joints():
    canvas = np.zeros((200, 200), np.float32)
    turn = np.linspace(0, 1.8, 23)
    x, y = 100 + 60 * np.cos(turn), 60 + 60 * np.sin(turn)
    stroke(canvas, x, y)
    fine = np.linspace(0.1, 1.7, 300)
    crest = canvas[np.round(60 + 60 * np.sin(fine)).astype(int),
                   np.round(100 + 60 * np.cos(fine)).astype(int)]  # fmt: skip
    assert crest.min() > 0.85
    assert crest.max() < 1.05


@pytest.mark.parametrize("draw", [
    lambda c, **k: stroke(c, [40, 55, 70.5], [30, 42, 43], **k),
    lambda c, **k: body(c, 50.3, 49.1, **k),
], ids=["stroke", "body"])  # fmt: skip
def test_two_fields_make_one_frame(draw):
    whole, fields = np.zeros((2, 100, 100), np.float32)
    draw(whole)
    draw(fields, first=0, step=2)
    assert (fields[1::2] == 0).all()
    draw(fields, first=1, step=2)
    np.testing.assert_allclose(fields, whole, atol=1e-6)


def test_shapes_across_the_border_are_cut_without_harm():
    big = np.zeros((140, 140), np.float32)
    small = np.zeros((100, 100), np.float32)
    for canvas, shift in ((big, 20), (small, 0)):
        for x, y in ((0, 0), (99, 50), (40, 99.6), (-6, 30), (104, 104)):
            body(canvas, x + shift, y + shift)
        stroke(canvas, np.array([-15, 10, 130.0]) + shift, np.array([20, 60, 119.0]) + shift)
    np.testing.assert_allclose(small, big[20:120, 20:120], atol=1e-5)


def test_a_dark_head_has_a_bright_rim_and_nothing_far_away():
    canvas = np.zeros((80, 80), np.float32)
    body(canvas, 40, 40, angle=0.0)
    assert canvas[40, 40] < -0.55
    assert canvas[40 + 3 + 5, 40] > 0.03
    assert np.abs(canvas[:12]).max() == 0


def test_noise_has_the_correlation_that_was_asked_for():
    chosen = profile("exam")
    tile = correlated_tile(np.random.default_rng(1), chosen.noise_x, chosen.noise_y)
    assert tile.std() == pytest.approx(1.0, abs=1e-3)
    for lag in (1, 2, 4):
        along_x = float((tile * np.roll(tile, lag, axis=1)).mean())
        along_y = float((tile * np.roll(tile, lag, axis=0)).mean())
        assert along_x == pytest.approx(chosen.noise_x[lag], abs=0.06)
        assert along_y == pytest.approx(chosen.noise_y[lag], abs=0.06)


def test_exposing_clears_the_canvas_and_never_wraps():
    canvas = np.full((20, 30), 5.0, np.float32)
    canvas[:10] = -3.0
    light, fixed = np.full((20, 30), 150, np.float32), np.zeros((20, 30), np.float32)
    out = np.empty((20, 30), np.uint8)
    expose(canvas, light, fixed, np.zeros((512, 512), np.float32), 500, 490, 2.0, 1.0, out)
    assert (out[:10] == 9).all()
    assert (out[10:] >= 254).all()
    assert (canvas == 0).all()


def test_normal_sperm_lie_inside_the_wet_limits_and_abnormal_ones_break_them():
    specimen = Specimen(profile("exam", density=120), 6)
    stage = np.zeros(2)
    rows = sperm_rows(specimen, [specimen.truth(0.0, stage)], 30.0)
    wet = WetLimits()
    excused = {HeadKind.AMORPHOUS.name.lower(), TailKind.DOUBLE.name.lower()}
    assert len(rows) > 60
    for row in rows:
        inside = (
            all(
                low <= row[name] <= high
                for name, (low, high) in {
                    "head_length_um": wet.head_length_um,
                    "head_width_um": wet.head_width_um,
                    "head_ellipticity": wet.head_ellipticity,
                    "tail_length_um": wet.tail_length_um,
                }.items()
            )
            and row["head_angle_deg"] != ""
            and row["head_angle_deg"] <= wet.midpiece_bend_deg[1]
        )
        if row["morphology_normal"]:
            assert inside
        else:
            assert not inside or excused & {row["head_kind"], row["tail_kind"]}


def test_every_kind_of_abnormality_occurs():
    anatomy = draw_anatomy(
        np.random.default_rng(2), 3000, abnormal_fraction=0.58, wet=WetLimits(),
        head_spread=0.1, tail_spread=0.4, depth_sd_um=2.0,
    )  # fmt: skip
    assert set(anatomy.head_kind) == {k.value for k in HeadKind}
    assert set(anatomy.tail_kind) == {k.value for k in TailKind}
    assert (anatomy.label == 2).mean() == pytest.approx(0.58, abs=0.03)
    double = anatomy.tail_kind == TailKind.DOUBLE
    assert len(anatomy.line_owner) == len(anatomy) + double.sum()
    some = anatomy.take(np.array([5, 2, 2000]))
    np.testing.assert_array_equal(some.label, anatomy.label[[5, 2, 2000]])
    assert set(some.line_owner) == {0, 1, 2}
