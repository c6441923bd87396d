"""Frame statistics on pictures whose figures are known, because they were drawn from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from models.specimen.frame_rows import ROWS, reference
from models.specimen.statistics import compare, deviations, frame_statistics

HEIGHT, WIDTH = 300, 400
HEADS = np.array([[60, 60], [160, 70], [260, 65], [340, 150], [70, 180], [180, 190], [280, 240]])


def boxes_of(centres: np.ndarray) -> np.ndarray:
    return np.hstack([centres.astype(float), np.tile([16.0, 12.0], (len(centres), 1))])


def drawn(
    centres: np.ndarray,
    *,
    sign: int = -1,
    noise: float = 0.0,
    seed: int = 0,
    comb_px: float = 0.0,
    spots: int = 0,
    tails: bool = False,
) -> np.ndarray:
    """Elliptic heads of 14x9 px, 60 % contrast, on a background of 150."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    contrast = np.zeros((HEIGHT, WIDTH))
    shift = np.where(np.arange(HEIGHT) % 2 == 0, comb_px / 2, -comb_px / 2)[:, None]
    for cx, cy in centres:
        distance = np.hypot((x - cx - shift) / 7.0, (y - cy) / 4.5)
        contrast += 0.6 / (1 + np.exp(8 * (distance - 1)))
        if tails:
            along = (x > cx + 4) & (x < cx + 42)
            contrast += 0.08 * along * np.exp(-0.5 * ((y - cy) / 1.5) ** 2)
    rng = np.random.default_rng(seed)
    for k in range(spots):
        cx, cy = 20 + 35 * (k % 10), 110 + 25 * (k // 10)
        if np.hypot(*(centres - [cx, cy]).T).min() > 40:
            contrast += 0.2 * np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2) / 2.0**2)
    picture = 150 * (1 + sign * contrast) + noise * rng.normal(size=(HEIGHT, WIDTH))
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def test_background_and_white_noise() -> None:
    frames = [drawn(HEADS, noise=3.0, seed=s) for s in (1, 2, 3)]
    table = frame_statistics(frames, [boxes_of(HEADS)] * 3, polarity=-1)
    assert table["background_mean"][0] == pytest.approx(150, abs=0.3)
    assert table["noise_local"][0] == pytest.approx(3, rel=0.05)
    assert table["noise_temporal"][0] == pytest.approx(3, rel=0.05)
    for key in ("noise_correlation_x", "noise_correlation_y"):
        np.testing.assert_allclose(table[key], 0, atol=0.03)
    # White noise: a row less the mean of its neighbours has sd 3 sqrt(1.5), mean size .798 of it.
    assert table["comb_index"][1] == pytest.approx(0.798 * 3 * 1.5**0.5, rel=0.05)


def test_correlated_noise() -> None:
    rng = np.random.default_rng(5)
    grain = ndimage.gaussian_filter1d(rng.normal(size=(HEIGHT, WIDTH)), 1.0, axis=1)
    frame = np.round(150 + 4 * grain / grain.std()).astype(np.uint8)
    table = frame_statistics([frame], [np.zeros((0, 4))])
    expected = [np.exp(-(lag**2) / 4) for lag in (1, 2, 4)]
    np.testing.assert_allclose(table["noise_correlation_x"], expected, atol=0.05)
    np.testing.assert_allclose(table["noise_correlation_y"], 0, atol=0.05)
    assert np.isnan(table["noise_temporal"][0])
    assert np.isnan(table["head_area"]).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_heads_and_their_polarity(sign: int) -> None:
    table = frame_statistics([drawn(HEADS, sign=sign)], [boxes_of(HEADS)])
    assert table["head_long"][1] == pytest.approx(14, abs=0.6)
    assert table["head_short"][1] == pytest.approx(9, abs=0.6)
    assert table["head_ratio"][1] == pytest.approx(14 / 9, abs=0.1)
    assert table["head_area"][1] == pytest.approx(np.pi * 7 * 4.5, rel=0.06)
    assert table["head_peak"][1] == pytest.approx(60, abs=2)
    assert table["radial_profile"][0] == pytest.approx(sign * 60, abs=2)
    assert table["radial_profile"][-1] == pytest.approx(0, abs=0.5)
    assert table["sperm_per_frame"] == (7, 7, 7)
    assert (table["box_long"][1], table["box_short"][1]) == (16, 12)


def test_the_comb_of_interlaced_rows() -> None:
    smooth = frame_statistics([drawn(HEADS)], [boxes_of(HEADS)])
    combed = frame_statistics([drawn(HEADS, comb_px=3.0)], [boxes_of(HEADS)])
    assert smooth["row_shift_x"][1] < 0.3
    assert combed["row_shift_x"][1] == pytest.approx(3.0, abs=0.6)
    assert combed["comb_index"][0] > 3 * smooth["comb_index"][0]


def test_tails_and_spots() -> None:
    boxes = [boxes_of(HEADS)]
    plain = frame_statistics([drawn(HEADS, noise=1.0)], boxes)
    assert np.isnan(plain["tail_contrast"]).all()
    assert plain["spots_per_frame"][1] == 0
    tailed = frame_statistics([drawn(HEADS, noise=1.0, tails=True)], boxes)
    assert tailed["tail_contrast"][1] == pytest.approx(8, abs=1.5)
    assert tailed["tail_width"][1] == pytest.approx(2.355 * 1.5, abs=1.0)
    spotted = frame_statistics([drawn(HEADS, noise=1.0, spots=30)], boxes)
    assert 10 <= spotted["spots_per_frame"][1] <= 30
    assert spotted["spot_contrast"][1] == pytest.approx(20 * 4 / 5, abs=2)  # 1 px of smoothing
    # What is labelled, of whatever kind, is no clutter.
    kept_out = [np.array([[200.0, 150, 400, 300]])]
    none = frame_statistics([drawn(HEADS, spots=30)], boxes, other_boxes=kept_out)
    assert none["spots_per_frame"][1] == 0


def test_motion_with_and_without_identities() -> None:
    centres = [HEADS + np.array([3 * k, 4 * k]) for k in range(3)]
    frames = [drawn(c) for c in centres]
    boxes = [boxes_of(c) for c in centres]
    ids = [np.arange(len(HEADS))[::-1].copy(), np.arange(len(HEADS))[::-1].copy(),
           np.arange(len(HEADS))[::-1].copy()]  # fmt: skip
    for known in (None, ids):
        table = frame_statistics(frames, boxes, known)
        assert table["displacement"] == pytest.approx((5, 5, 5))
    apart = np.hypot(*(HEADS[:, None] - HEADS[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    assert table["neighbour"][1] == pytest.approx(np.median(apart.min(axis=1)))


def test_comparison() -> None:
    same = reference("svia")
    assert deviations(same, same) == dict.fromkeys([r.key for r in ROWS], 0)
    other = {**same, "head_area": tuple(1.5 * v for v in same["head_area"])}
    assert deviations(other, same)["head_area"] == pytest.approx(50)
    table = compare(other, same, reference("svia_measured"))
    assert len(table.splitlines()) == 2 + len(ROWS)
    (marked,) = [line for line in compare(other, same).splitlines() if "**" in line]
    assert "head area" in marked
    assert "+50%" in marked


def test_every_reference_has_every_row() -> None:
    for name in ("svia_1", "svia_2", "svia_3", "visem_52"):
        assert set(reference(name)) == set(reference(f"{name}_measured")) == {r.key for r in ROWS}
    with pytest.raises(KeyError):
        reference("svia_4")


def test_frames_and_boxes_must_fit() -> None:
    with pytest.raises(ValueError, match="1 frames with 2"):
        frame_statistics([drawn(HEADS)], [boxes_of(HEADS)] * 2)
