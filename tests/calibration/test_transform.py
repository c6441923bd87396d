"""Image to stage and back, for any affine map that is not singular."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.transform import ImageToStage

angles = st.floats(-np.pi, np.pi)
scales = st.floats(0.05, 5.0)
places = st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)).map(np.array)


@given(angles, scales, scales, st.booleans(), places, places)
def test_there_and_back(
    angle: float, sx: float, sy: float, mirror: bool, point: np.ndarray, pose: np.ndarray
) -> None:
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.diag((-sx if mirror else sx, sy))
    affine = ImageToStage(matrix, np.array((319.5, 239.5)))
    there = affine.image_to_stage(point, pose)
    np.testing.assert_allclose(affine.stage_to_image(there, pose), point, atol=1e-6)
    assert affine.um_per_px == pytest.approx(np.sqrt(sx * sy))
    np.testing.assert_allclose(affine.image_to_stage(affine.centre_px, pose), pose, atol=1e-9)


def test_a_singular_map_is_refused() -> None:
    with pytest.raises(ValueError, match="singular"):
        ImageToStage(np.ones((2, 2)), np.zeros(2))
