"""A detector that sees frames at another magnification speaks of them in their own pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.detector import Detector
from models.errors import ModelError
from models.resampled import ResampledDetector, at_known_size
from models.sfcnet.manifest import shipped_archive
from models.sfcnet.runtime import SFCNetDetector
from models.specimen.profiles import profile
from models.threshold import ThresholdDetector
from models.training.evaluation import evaluate, specimen_frames
from models.types import Detections, Perception

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Spot:
    """Finds the box of what is dark, and says so in maps, too."""

    name = "spot"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def warm_up(self, height_px: int, width_px: int) -> None:
        self.shapes.append((height_px, width_px))

    def detect(self, image: np.ndarray) -> Perception:
        self.shapes.append(image.shape)
        dark = image < 100
        rows, columns = np.nonzero(dark)
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
        box = np.concatenate([(low + high) / 2, high - low + 1]).astype(np.float32)[None]
        found = Detections(box, np.ones(1, np.float32), np.ones(1, np.int8))
        logits = np.zeros((7, 8, 8), np.float32)
        return Perception(found, dark.astype(np.uint8), None, logits, 0.5, weak=found)


@pytest.mark.parametrize("scale", [0.5, 0.25, 2.0])
def test_boxes_and_maps_come_back_in_the_frames_pixels(scale: float) -> None:
    frame = np.full((160, 240), 150, np.uint8)
    frame[40:80, 120:136] = 20
    spot = Spot()
    seen = ResampledDetector(spot, scale)
    assert isinstance(seen, Detector)
    seen.warm_up(160, 240)
    found = seen.detect(frame)
    assert spot.shapes == [(160 * scale, 240 * scale)] * 2
    # Pixels 120 to 135 and 40 to 79.
    assert found.detections.box_px[0] == pytest.approx([127.5, 59.5, 16, 40])
    np.testing.assert_array_equal(found.weak.box_px, found.detections.box_px)
    assert np.array_equal(found.class_map, frame < 100)
    assert found.part_map is None
    assert found.logits_per_px == pytest.approx(0.5 * scale)


def test_a_frame_is_never_too_small_and_a_scale_must_be_one() -> None:
    spot = Spot()
    frame = np.full((64, 96), 150, np.uint8)
    frame[:32, :48] = 20
    found = ResampledDetector(spot, 0.1).detect(frame)
    assert spot.shapes == [(32, 32)]
    assert found.detections.box_px[0] == pytest.approx([23.5, 15.5, 48, 32])
    for wrong in (0.0, -1.0, float("nan"), 100.0):
        with pytest.raises(ModelError, match="of its size"):
            ResampledDetector(spot, wrong)


def test_frames_of_20x_are_shown_as_they_are() -> None:
    spot = Spot()
    for near in (None, 0.495, 0.3, 0.7):
        assert at_known_size(spot, near) is spot
    shrunk, grown = at_known_size(spot, 0.2475), at_known_size(spot, 0.99)
    assert isinstance(shrunk, ResampledDetector)
    assert isinstance(grown, ResampledDetector)
    assert (shrunk.scale, grown.scale) == (0.5, 2.0)
    assert shrunk.name == "spot at 0.5 of the size"


def test_pixels_too_large_for_a_head_are_named_and_what_to_do() -> None:
    assert isinstance(at_known_size(Spot(), 9.9 / 2.5), ResampledDetector)
    for wrong in (9.9 / 2, 0.0, -1.0, float("nan")):
        with pytest.raises(ModelError) as told:
            at_known_size(Spot(), wrong)
        line = str(told.value)
        assert line.startswith(f"a pixel is {wrong:g} um wide")
        assert "up to 3.96 um a pixel; take an objective of higher power" in line
        assert "--um-per-px" in line
        assert "\n" not in line


def test_the_classical_detector_finds_the_heads_of_100x_shrunk_and_not_as_they_are() -> None:
    classical = ThresholdDetector()
    shown = at_known_size(classical, 0.099)
    assert shown.name == f"{classical.name} at 0.2 of the size"
    scenes = [specimen_frames(profile("exam", objective=100), 40 + k, 1, 1.0) for k in range(4)]
    plain, shrunk = (evaluate(detector, scenes) for detector in (classical, shown))
    assert float(str(shrunk["f1_10px"])) > float(str(plain["f1_10px"])) + 30


def test_weights_of_20x_find_the_heads_of_100x() -> None:
    detector = SFCNetDetector(shipped_archive("lite"), dtype=torch.float32, score_threshold=0.02)
    scenes = [specimen_frames(profile("exam", objective=100), 40 + k, 1, 1.0) for k in range(4)]
    plain = evaluate(detector, scenes)
    shrunk = evaluate(ResampledDetector(detector, 0.2), scenes)
    assert float(str(shrunk["f1_10px"])) > float(str(plain["f1_10px"])) + 30
