"""Heads that the border cuts are where they are, not where the middle of what is seen is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.core.pipeline import Pipeline
from app.records.track_table import TrackTable
from calibration.transform import ImageToStage
from models.measure.live import LiveMotility
from models.tracking.border import whole_boxes
from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.types import Detections, Float64, Tracks
from tests.tracking.swimmers import UM_PER_PX

WIDTH, HEIGHT, HEAD_PX, FPS = 640, 480, 12.0, 30.0
TRANSFORM = ImageToStage.nominal(UM_PER_PX, WIDTH, HEIGHT)
OUTWARD = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1), "corner": (1, 1)}


def cut(centre_px: Float64) -> Float64 | None:
    """What the picture shows of a box around ``centre_px``; None of one whose middle is outside."""
    low = np.maximum(centre_px - HEAD_PX / 2, -0.5)
    high = np.minimum(centre_px + HEAD_PX / 2, np.array([WIDTH, HEIGHT]) - 0.5)
    if (high - low < HEAD_PX / 2).any():
        return None
    return np.concatenate([(low + high) / 2, high - low])


def detections(box: Float64 | None) -> Detections:
    """One head, or none."""
    rows = np.zeros((0, 4), np.float32) if box is None else box[None].astype(np.float32)
    return Detections(rows, np.ones(len(rows), np.float32), np.ones(len(rows), np.int8))


def leaving(side: str, speed_px: float) -> tuple[list[Float64], list[Float64 | None]]:
    """Where a head is, and its box, in 40 frames in the last of which it is outside."""
    way = np.array(OUTWARD[side], float)
    size = np.array([WIDTH, HEIGHT])
    last = np.where(way > 0, size + 8.0, np.where(way < 0, -8.0, size / 2))
    true = [last - way * speed_px * (39 - k) for k in range(40)]
    return true, [cut(place) for place in true]


def tracked(side: str, speed_px: float) -> tuple[list[Float64], list[Tracks]]:
    """Follow it through the pipeline: where it was, and what is told."""
    true, boxes = leaving(side, speed_px)
    pipeline = Pipeline(TRANSFORM, WIDTH, HEIGHT, Tracker(), LiveMotility())
    told = []
    for k, box in enumerate(boxes):
        told.append(pipeline.follow(k / FPS, np.zeros(2), detections(box)))
    return true, told


@pytest.mark.parametrize("side", OUTWARD)
def test_a_head_on_its_way_out_keeps_its_place_and_speed(side: str) -> None:
    true, told = tracked(side, 4.0)
    speed_um_s = 4.0 * UM_PER_PX * FPS * np.array(OUTWARD[side])
    checked = 0
    for k in range(20, 40):
        tracks = told[k]
        assert tracks.track_id.tolist() == [1]
        if np.isfinite(tracks.box_um).all():
            assert tracks.velocity_um_s[0] == pytest.approx(speed_um_s, abs=4.0)
            at_px = TRANSFORM.stage_to_image(tracks.box_um, np.zeros(2))[0]
            assert at_px == pytest.approx(true[k], abs=0.6)
            checked += k > 34
    assert checked  # some of them were cut


def test_the_table_goes_on_to_the_last_frame_in_which_it_was_found() -> None:
    true, told = tracked("right", 4.0)
    found = [k for k, tracks in enumerate(told) if np.isfinite(tracks.box_um).any()]
    table = TrackTable(TRANSFORM, TrackerSettings())
    for k, tracks in enumerate(told):
        middle_known = k < found[-1] - 1  # as where the picture is looked at: not of cut heads
        raw = tracks.raw_um if middle_known else np.full_like(tracks.raw_um, np.nan)
        table.add(k, replace(tracks, raw_um=raw))
    rows = table.finish(online=False).tracks
    assert list(rows["frame"])[-1] == found[-1]
    at_px = np.array([list(rows["x_px"])[-1], list(rows["y_px"])[-1]], float)
    assert at_px == pytest.approx(true[found[-1]], abs=1.0)


def test_only_cut_boxes_near_a_track_change() -> None:
    track_px, size_px = np.array([[3.0, 200.0]]), np.array([[HEAD_PX, HEAD_PX]])
    box = np.array(
        [
            [2.0, 200.0, 5.0, 12.0],  # cut, near the track
            [2.0, 260.0, 5.0, 12.0],  # cut, no track near
            [60.0, 200.0, 5.0, 12.0],  # not cut
            [np.nan, 1.0, 5.0, 12.0],
        ],
        np.float32,
    )
    whole = whole_boxes(box, track_px, size_px, WIDTH, HEIGHT)
    assert whole[0] == pytest.approx([-1.5, 200.0, 12.0, 12.0])
    np.testing.assert_array_equal(whole[1:], box[1:])
    np.testing.assert_array_equal(whole_boxes(box, track_px[:0], size_px[:0], 640, 480), box)


def test_a_stage_that_goes_after_the_chosen_sperm_brings_it_back_from_just_outside() -> None:
    pipeline = Pipeline(TRANSFORM, WIDTH, HEIGHT, Tracker(), LiveMotility())
    for k in range(40):
        place_px = np.array([560.0 + 4.0 * k, 240.0])
        # When it is 14 um outside, the stage goes after it.
        pose_um = np.array([max(0.0, 6.0 * (k - 27)), 0.0])
        shown = TRANSFORM.stage_to_image(TRANSFORM.image_to_stage(place_px, np.zeros(2)), pose_um)
        tracks = pipeline.follow(k / FPS, pose_um, detections(cut(shown)), chosen=1)
    assert tracks.track_id.tolist() == [1]
    assert np.isfinite(tracks.box_um).all()
