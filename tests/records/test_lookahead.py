"""Several frames in the detector at once: same order, nothing lost, faults told."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from app.runtime.lookahead import detect_ahead
from drivers.errors import CameraError
from drivers.types import Frame
from models.types import Detections, Perception, UInt8


class Slow:
    """Finds as many heads as the first pixel says; the even ones only once an odd one is done."""

    name = "slow"

    def __init__(self) -> None:
        self.odd = threading.Event()
        self.threads: set[str] = set()

    def warm_up(self, height_px: int, width_px: int) -> None:
        pass

    def detect(self, image: UInt8) -> Perception:
        n = int(image[0, 0])
        self.threads.add(threading.current_thread().name)
        if n == 13:
            raise ValueError("unlucky")
        if n % 2:
            self.odd.set()
        else:
            self.odd.wait(5.0)
        return Perception(
            Detections(np.zeros((n, 4), np.float32), np.zeros(n, np.float32), np.zeros(n, np.int8))
        )


def film(count: int, *, cut: bool = False) -> Iterator[Frame]:
    for k in range(count):
        yield Frame(np.full((2, 2), k, np.uint8), k, k / 30.0, 0.0, 0.0)
    if cut:
        raise CameraError("film", "is cut short")


def test_the_order_is_that_of_the_frames() -> None:
    detector = Slow()
    found = list(detect_ahead(film(12), detector, 2))
    assert [frame.number for frame, _ in found] == list(range(12))
    assert [len(one.detections) for _, one in found] == list(range(12))
    assert all(name.startswith("sfcscope-detect") for name in detector.threads)


def test_what_was_read_before_a_cut_is_detected_before_it_is_told() -> None:
    found = detect_ahead(film(7, cut=True), Slow(), 3)
    assert [next(found)[0].number for _ in range(7)] == list(range(7))
    with pytest.raises(CameraError, match="cut short"):
        next(found)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_of_the_detector_is_told(workers: int) -> None:
    detector = Slow()
    detector.odd.set()
    with pytest.raises(ValueError, match="unlucky"):
        list(detect_ahead(film(20), detector, workers))


def test_leaving_early_leaves_no_thread() -> None:
    detector = Slow()
    detector.odd.set()
    for frame, _ in detect_ahead(film(12), detector, 2):
        if frame.number == 3:
            break
