"""Windows lead each pixel to its head, whatever the sperm are numbered."""

from __future__ import annotations

import numpy as np

from models.training.identities import ZERO
from models.training.labelled_frames import LabelledFrame
from models.training.window import cut


def test_identities_as_large_as_a_file_may_hold() -> None:
    instance_map = np.zeros((40, 40), np.int32)
    instance_map[10, 10:20] = ZERO
    instance_map[20, 10:20] = 7
    instance_map[30, 10:20] = 9  # its head is not labelled
    instance_map[35, 10:20] = -1
    boxes = np.array([[10.0, 10.0, 4, 4], [12.0, 20.0, 4, 4]])
    frame = LabelledFrame(
        np.zeros((40, 40), np.uint8), boxes, np.ones(2, np.int8), np.array([ZERO, 7]),
        class_map=(instance_map != 0).astype(np.uint8), instance_map=instance_map,
    )  # fmt: skip
    away = cut(frame, 0, 0, 40, 40).to_head_px
    assert away is not None
    np.testing.assert_array_equal(away[:, 10, 15], [-5, 0])
    np.testing.assert_array_equal(away[:, 20, 15], [-3, 0])
    assert np.isnan(away[:, [30, 35, 5], 15]).all()
