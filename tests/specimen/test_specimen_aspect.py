"""Heads seen end-on, with light centres, in clumps: in profile train, labelled; never in exam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.specimen.aspect import stick_together, turn_end_on
from models.specimen.morphology import HeadKind, TailKind, draw_anatomy
from models.specimen.patches import draw_patches
from models.specimen.profiles import MODALITIES, WetLimits, profile
from models.specimen.sampling import training_sample
from models.specimen.scene import Specimen
from models.specimen.swimming import draw_swim, first_state
from models.types import SpermClass

OFF = {"end_on": 0.0, "dim_end_on": 0.0, "light_centre": 0.0, "thick_neck": 0.0, "clumped": 0.0,
       "least_inside": 0.5, "little_specks": 0.85, "little_um": (1.5, 2.6)}  # fmt: skip
IN_PHASE = {"clumped", "least_inside"}
EXAM_PIXELS = {
    "brightfield": [
        [150, 148, 147, 150, 153, 149, 150, 154, 150, 147],
        [150, 150, 153, 150, 153, 151, 154, 153, 151, 148],
        [148, 152, 154, 126, 154, 153, 151, 91, 148, 151],
        [150, 152, 8, 150, 152, 154, 150, 153, 149, 151],
        [153, 153, 158, 155, 150, 153, 153, 153, 153, 152],
        [157, 157, 155, 143, 153, 157, 151, 158, 158, 156],
        [153, 152, 153, 155, 150, 155, 152, 154, 153, 151],
    ],
    "phase": [
        [120, 116, 137, 114, 119, 115, 116, 118, 116, 115],
        [119, 122, 120, 114, 117, 123, 122, 119, 119, 116],
        [122, 121, 120, 120, 116, 120, 122, 116, 119, 120],
        [106, 115, 121, 119, 121, 118, 119, 125, 119, 106],
        [122, 123, 118, 115, 122, 121, 119, 123, 122, 121],
        [119, 119, 123, 120, 118, 122, 118, 121, 119, 118],
        [119, 123, 118, 119, 121, 123, 132, 119, 121, 122],
    ],
}


def bodies(n: int = 400):
    return draw_anatomy(np.random.default_rng(1), n, abnormal_fraction=0.5, wet=WetLimits(),
                        head_spread=0.1, tail_spread=0.1, depth_sd_um=1.0)  # fmt: skip


def test_exam_has_none_of_it():
    for modality in MODALITIES:
        exam = profile("exam", modality=modality)
        assert {name: getattr(exam, name) for name in OFF} == OFF
        for name in ("train", "recorded"):
            shown = profile(name, modality=modality)
            changed = {field for field, value in OFF.items() if getattr(shown, field) != value}
            assert changed == (set(OFF) if modality == "brightfield" else IN_PHASE)


@pytest.mark.parametrize("modality", MODALITIES)
def test_frames_of_exam_are_as_they_ever_were(modality):
    # Every 64th pixel of one frame as it was before these looks were there; one grey level for
    # processors that round otherwise.
    specimen = Specimen(profile("exam", modality=modality), 91_000)
    frame = specimen.render(0.4, 0.008, lambda times: np.zeros((len(times), 2)))
    was = np.array(EXAM_PIXELS[modality])
    assert np.abs(frame[32::64, 32::64].astype(int) - was).max() <= 1


def test_heads_seen_end_on_are_round_and_abnormal():
    lying = bodies()
    turned = turn_end_on(np.random.default_rng(2), lying, 0.5, 0.4)
    seen = (turned.head != lying.head).any(axis=1)
    assert 0.4 < seen.mean() < 0.6
    wet = WetLimits()
    ratio = turned.head[seen, 0] / turned.head[seen, 1]
    assert (ratio < wet.head_ellipticity[0]).all()
    assert (turned.head_kind[seen] == HeadKind.ROUND).all()
    assert (turned.label[seen] == SpermClass.ABNORMAL).all()
    np.testing.assert_array_equal(turned.label[~seen], lying.label[~seen])
    hidden = turned.tail_kind[seen] == TailKind.ABSENT
    assert 0.35 < hidden.mean() < 0.7
    np.testing.assert_array_equal(turned.tail_length_um[seen] == 0.0, hidden)


def test_sperm_in_clumps_touch_by_their_heads():
    rng = np.random.default_rng(3)
    anatomy = bodies()
    state = first_state(rng, draw_swim(rng, anatomy, pace=1.0), (5000.0, 5000.0))
    stuck = stick_together(rng, anatomy, state, 0.2)
    moved = (stuck[:, :2] != state[:, :2]).any(axis=1)
    assert 0.1 < moved.mean() < 0.3
    apart = np.hypot(*(stuck[moved, None, :2] - stuck[None, ~moved, :2]).transpose(2, 0, 1))
    reach = anatomy.head[:, 0].max() * 3
    assert (apart.min(axis=1) < reach).all()
    # Some hosts have two guests or more.
    assert np.bincount(apart.argmin(axis=1)).max() >= 2
    np.testing.assert_array_equal(stick_together(rng, anatomy, state, 1.0), state)


def test_a_light_centre_is_lighter_than_the_outline():
    rng = np.random.default_rng(4)
    exam = replace(profile("exam"), light_centre=1.0)
    patches = draw_patches(rng, bodies(), exam)
    assert len(patches) == 3 * 400
    inner = patches.amplitude[800:]
    assert (inner < -0.3).all()
    # The ring is wider than the head, the centre narrower.
    head = bodies().head
    assert (patches.shape[:400, 0] > head[:, 0]).all()
    assert (patches.shape[800:, 0] < head[:, 0]).all()


def test_neither_boxes_nor_masks_change_with_patches():
    plain = replace(profile("train"), end_on=0.0, clumped=0.0, light_centre=0.0, thick_neck=1e-12)
    with_light = replace(plain, light_centre=1.0)
    for seed in range(6):
        one, two = (
            training_sample(np.random.default_rng(seed), 128, 128, base=base)
            for base in (plain, with_light)
        )
        np.testing.assert_array_equal(one.boxes, two.boxes)
        np.testing.assert_array_equal(one.class_map, two.class_map)


def test_heads_cut_by_the_border_are_asked_for_in_train():
    base = replace(profile("train"), jpeg_share=0.0)
    few, many = (
        sum(
            len(training_sample(np.random.default_rng(s), 128, 128, base=b).boxes)
            for s in range(30)
        )
        for b in (replace(base, least_inside=0.5), base)
    )
    assert many > few


def test_recorded_shows_the_heads_of_train_at_the_size_of_exam():
    sizes = {
        name: np.concatenate(
            [
                training_sample(np.random.default_rng(s), 192, 192, base=profile(name)).boxes[:, 2:]
                for s in range(12)
            ]
        )
        for name in ("exam", "recorded")
    }
    exam, recorded = (np.median(sizes[name]) for name in ("exam", "recorded"))
    assert abs(recorded / exam - 1) < 0.15
