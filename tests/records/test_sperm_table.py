"""sperm.csv: what belongs with the numbers stands beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import app.records
from app.records.sperm_table import SpermPath, sd_name, sperm_table
from models.measure.motility import COLUMNS as MOTILITY
from models.measure.profile import named_profile
from models.measure.shape_record import COLUMNS as SHAPE
from models.measure.shape_record import LEAST_TAILS, ShapeRecord
from models.measure.shapes import Flag, Shapes

FPS = 30.0
HEAD = (9.8, 4.6, 2.7, 1.7, 5.0, 45.0)


def path(track_id: int = 1, seen: np.ndarray | None = None) -> SpermPath:
    """Three seconds of a sperm that swims and yaws; seen in the frames told."""
    time_s = np.arange(91) / FPS
    raw_um = np.column_stack([60.0 * time_s, np.sin(2.0 * np.pi * 8.0 * time_s)])
    if seen is not None:
        raw_um[~seen] = np.nan
    return SpermPath(track_id, 0, len(time_s), time_s, raw_um)


def shapes(values: tuple[float, ...], flags: int = 0) -> Shapes:
    """One sperm in one frame."""
    nowhere = np.full((1, 2), np.nan)
    return Shapes(
        np.array([values]), nowhere, nowhere, np.array([flags]), np.zeros((1, 0, 2)),
        np.zeros(1, np.int64),
    )  # fmt: skip


def record(flags: int = 0, frames: int = 10, values: tuple[float, ...] = HEAD) -> ShapeRecord:
    found = ShapeRecord(1.0)
    for _ in range(frames):
        found.add(np.array([1]), np.array([0]), shapes(values, flags))
    return found


def test_motility_tells_the_frames_and_the_time_that_it_was_measured_on() -> None:
    seen = np.arange(91) % 24 < 18  # lost for six frames, over and over
    columns = sperm_table([path(seen=seen)], None, named_profile()).columns
    assert columns["motility_frames"] == [18]
    assert columns["motility_duration_s"] == [pytest.approx(17 / FPS)]
    assert columns["frame_rate_hz"] == [pytest.approx(FPS)]
    (reasons,) = columns["reasons"]
    assert "(18 frames, 0.57 s)" in str(reasons)
    assert columns["frames"] == [91]


def test_every_measure_has_its_uncertainty_and_the_unknown_has_none() -> None:
    columns = sperm_table([path(1), path(2)], record(), named_profile()).columns
    for name in (*SHAPE, *MOTILITY, "score"):
        value, sd = (np.asarray(columns[n], float) for n in (name, sd_name(name)))
        assert value[0] > 0.0, name
        assert 0.0 < sd[0] < 0.5 * max(value[0], 10.0), name
        np.testing.assert_array_equal(np.isfinite(sd), np.isfinite(value))
    assert not np.isfinite(np.asarray(columns["head_area_sd_um2"], float))[1]
    assert (sd_name("vap_um_s"), sd_name("lin")) == ("vap_sd_um_s", "lin_sd")
    assert (columns["head_frames"], columns["tail_frames"]) == ([10, 0], [10, 0])
    alone = sperm_table([path()], None, named_profile()).columns
    assert alone["head_frames"] == alone["tail_frames"] == [None]


def test_the_angle_to_the_picture_is_not_called_the_neck_bend() -> None:
    for profile, told, empty in (
        ("who6_wet", "head_angle", "head_image_angle"),
        ("paper", "head_image_angle", "head_angle"),
    ):
        columns = sperm_table([path()], record(), named_profile(profile)).columns
        assert np.asarray(columns[f"{told}_deg"], float)[0] == pytest.approx(5.0)
        assert np.asarray(columns[f"{told}_sd_deg"], float)[0] > 0.0
        assert np.isnan(np.asarray(columns[f"{empty}_deg"], float)).all()
        assert np.isnan(np.asarray(columns[f"{empty}_sd_deg"], float)).all()


@pytest.mark.parametrize(
    ("flags", "frames", "why"),
    [
        (Flag.TAIL_CUT, 10, "leaves the picture"),
        (Flag.TAIL_CROSSED, 10, "crosses another"),
        (Flag.TAIL_UNSEEN, 10, "unseen"),
        (Flag.BLURRED, 10, "out of focus"),
        (Flag(0), LEAST_TAILS - 1, f"{LEAST_TAILS - 1} of {LEAST_TAILS} good frames"),
    ],
)
def test_why_a_tail_is_not_known_is_told(flags: Flag, frames: int, why: str) -> None:
    values = (*HEAD[:5], np.nan) if flags == Flag.TAIL_UNSEEN else HEAD
    columns = sperm_table([path()], record(int(flags), frames, values), named_profile()).columns
    assert columns["tail_quality"] == [why]
    assert f"tail length not known: {why}" in str(columns["reasons"])
    assert np.isnan(np.asarray(columns["tail_length_um"], float)).all()


def test_why_heads_and_speeds_are_not_known_is_told() -> None:
    brief = SpermPath(1, 0, 9, np.arange(9) / FPS, np.zeros((9, 2)))
    columns = sperm_table([brief], record(int(Flag.BLURRED)), named_profile()).columns
    assert columns["quality"] == ["insufficient track"]
    (reasons,) = columns["reasons"]
    assert "head width not known: out of focus; no score without it" in str(reasons)
    assert "VAP not known: insufficient track; no score without it" in str(reasons)
    rests = SpermPath(1, 0, 60, np.arange(60) / FPS, np.zeros((60, 2)))
    (reasons,) = sperm_table([rests], record(), named_profile()).columns["reasons"]
    assert "LIN not known: it hardly moves; the worst is assumed in the score" in str(reasons)
    assert "VAP 0.0 um/s, below 5" in str(reasons)


def test_a_tail_whose_head_is_mostly_refused_has_the_heads_reason() -> None:
    found = record(int(Flag.TAIL_CUT), frames=2)
    for _ in range(9):
        found.add(np.array([1]), np.array([0]), shapes(HEAD, int(Flag.BORDER)))
    columns = sperm_table([path()], found, named_profile()).columns
    assert columns["tail_quality"] == ["at the border"]


def test_a_tail_that_is_known_is_ok_and_tails_that_disagree_are_not() -> None:
    assert sperm_table([path()], record(), named_profile()).columns["tail_quality"] == ["ok"]
    found = ShapeRecord(1.0)
    for length in (8.0, 14.0, 24.0, 40.0, 70.0):
        found.add(np.array([1]), np.array([0]), shapes((*HEAD[:5], length)))
    columns = sperm_table([path()], found, named_profile()).columns
    assert columns["tail_quality"] == ["its frames disagree"]


def test_every_flag_of_shapes_csv_stands_in_the_legend() -> None:
    readme = Path(app.records.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert all(f"\n| {int(flag)} | " in readme for flag in Flag)
