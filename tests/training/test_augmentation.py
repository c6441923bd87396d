"""Augmented crops: labels go where their pixels go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.training.augmentation import AUGMENTATIONS, Augmentation, augmented
from models.training.crops import UNKNOWN_PIXEL
from models.training.folder_crops import FolderCrops
from models.training.labelled_frames import LabelledFrame, LabelledFrames

PAPER = AUGMENTATIONS["paper"]


def disc_frame(seed: int = 0, height: int = 150, width: int = 200) -> LabelledFrame:
    """Dark round heads on grey, each boxed and painted."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width), 150, np.uint8)
    class_map = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width]
    boxes = []
    for k in range(12):
        cx, cy = 20 + 40 * (k % 4) + rng.uniform(-5, 5), 25 + 45 * (k // 4) + rng.uniform(-5, 5)
        disc = np.hypot(x - cx, y - cy) < 8
        image[disc] = 40
        class_map[disc] = 1 + k % 2
        boxes.append([cx, cy, 16, 16])
    labels = np.array([1 + k % 2 for k in range(12)], np.int8)
    return LabelledFrame(image, np.array(boxes), labels, class_map=class_map)


@settings(max_examples=25, deadline=None)
@example(597, "short side")
@given(st.integers(0, 10_000), st.sampled_from(["paper", "short side"]))
def test_labels_go_where_their_pixels_go(seed: int, name: str) -> None:
    frame = disc_frame()
    crop = augmented(frame, np.random.default_rng(seed), (128, 128), AUGMENTATIONS[name])
    # The nearest pixel of the frame is up to half of one away: that much, enlarged.
    largest_px = 800.0 if name == "short side" else 2.0 * 128
    rim_px = 1.0 + 0.5 * largest_px / min(frame.image.shape)
    assert crop.image.shape == crop.class_map.shape == (128, 128)
    inside = crop.class_map != UNKNOWN_PIXEL
    sperm = inside & (crop.class_map > 0)
    # Blur and interpolation touch the rims alone.
    assert (crop.image[inside & (crop.class_map == 0)] > 100).mean() > 0.93
    if sperm.sum() > 200:
        assert (crop.image[sperm] < 100).mean() > 0.85
    y, x = np.mgrid[:128, :128]
    covered = np.zeros((128, 128), bool)
    for cx, cy, w, h in np.concatenate([crop.boxes, crop.ignore]):
        box = (np.abs(x - cx) <= w / 2 + rim_px) & (np.abs(y - cy) <= h / 2 + rim_px)
        covered |= box
    # A head just outside the crop may show its rim in it, and has no box there.
    within = np.minimum(np.minimum(x, 127 - x), np.minimum(y, 127 - y)) > rim_px
    assert not (sperm & ~covered & within).any()
    for cx, cy, w, h in crop.boxes:
        box = (np.abs(x - cx) <= w / 2) & (np.abs(y - cy) <= h / 2)
        # A disc fills 0.785 of the square about it, and most of one that the border cuts.
        assert (crop.class_map[box] > 0).mean() > 0.6


def test_the_same_numbers_draw_the_same_crop() -> None:
    one, other = (augmented(disc_frame(), np.random.default_rng(3), (64, 96), PAPER)
                  for _ in range(2))  # fmt: skip
    assert (one.image == other.image).all()
    assert (one.boxes == other.boxes).all()
    third = augmented(disc_frame(), np.random.default_rng(4), (64, 96), PAPER)
    assert not (one.image == third.image).all()


def test_the_short_side_is_enlarged_as_asked() -> None:
    how = Augmentation(short_side_px=(300, 300), angle_deg=0, distortion_px=0, blur_px=0)
    crop = augmented(disc_frame(), np.random.default_rng(1), (96, 96), how)
    whole = crop.boxes[(np.abs(crop.boxes[:, :2] - 47.5) < 47.5 - 16).all(axis=1)]
    # Twice as large: the frame's short side is 150.
    np.testing.assert_allclose(whole[:, 2:], 32, atol=0.1)


def test_a_frame_of_unknown_heads_stays_unknown() -> None:
    frame = LabelledFrame(np.full((60, 80), 9, np.uint8), np.zeros((0, 4)), np.zeros(0, np.int8),
                          ignored_px=np.array([[39.5, 29.5, 80, 60]]))  # fmt: skip
    crop = augmented(frame, np.random.default_rng(5), (64, 64), PAPER)
    assert (crop.class_map == UNKNOWN_PIXEL).all()
    assert len(crop.ignore) == 1
    assert (crop.ignore[0, 2:] > 30).all()


def test_folder_crops_draw_with_the_augmentation_named() -> None:
    frame = disc_frame()
    data = [LabelledFrames("discs", 1, lambda: iter([frame]))]
    for name in ("mirror", "paper", "short side"):
        crops = FolderCrops(data, 7, (64, 64), name)
        assert (crops[3].image == crops[3].image).all()
    with pytest.raises(ModelError, match="'flip' is unknown; choose mirror, paper, short side"):
        FolderCrops(data, 7, (64, 64), "flip")
