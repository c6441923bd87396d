"""Heads fitted to the picture: finer than the network's outline, and silent where it shows none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.special import ndtr

from models.measure.grey_head import with_grey_heads
from models.measure.head_image import fit_ellipse
from models.measure.shapes import Flag, Shapes, measure_shapes
from models.measure.soft import Planes, planes_of_parts
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.truth_tables import sperm_rows
from models.training.head_calibration import line_through
from models.types import Float64, UInt8

SIZE = (90, 110)
UM_PER_PX = 0.495


def drawn(
    half_px: tuple[float, float] = (5.0, 3.1),
    angle: float = 0.4,
    contrast: float = -90.0,
    at: tuple[tuple[float, float], ...] = ((54.3, 45.2),),
    blur_px: float = 1.4,
) -> tuple[UInt8, Planes, Shapes, Float64]:
    """Picture of soft ellipses, and what a network says that sees them a fifth too large."""
    v, u = np.mgrid[: 4 * SIZE[0], : 4 * SIZE[1]] / 4.0 - 0.375
    inside, parts = np.zeros(u.shape), np.zeros(SIZE, np.uint8)
    c, s = np.cos(angle), np.sin(angle)
    for x, y in at:
        along, across = (u - x) * c + (v - y) * s, (v - y) * c - (u - x) * s
        inside[(along / half_px[0]) ** 2 + (across / half_px[1]) ** 2 <= 1.0] = 1.0
        seen = (along / half_px[0]) ** 2 + (across / half_px[1]) ** 2 <= 1.44
        parts[seen[1::4, 1::4]] = 1
    far_px = (distance_transform_edt(inside == 0) - distance_transform_edt(inside > 0)) / 4.0
    soft = ndtr(-far_px / blur_px).reshape(SIZE[0], 4, SIZE[1], 4).mean(axis=(1, 3))
    rng = np.random.default_rng(2)
    image = np.clip(150.0 + contrast * soft + rng.normal(0.0, 2.0, SIZE), 0, 255).astype(np.uint8)
    box = np.array([[x, y, 16.0, 16.0] for x, y in at[:1]])
    planes = planes_of_parts(parts)
    return image, planes, measure_shapes(planes, box, *SIZE), box


@pytest.mark.parametrize("half_px", [(5.0, 3.1), (4.0, 3.6), (7.5, 3.0), (3.4, 2.6)])
def test_the_ellipse_is_found_from_an_outline_that_is_too_large(
    half_px: tuple[float, float],
) -> None:
    image, planes, seen, box = drawn(half_px)
    found = with_grey_heads(seen, planes, image, box, UM_PER_PX)
    assert found.flags[0] == seen.flags[0]
    length, width = 2.0 * np.array(half_px)
    assert abs(seen.values[0, 1] / length - 1.0) > 0.12
    assert found.values[0, 1] == pytest.approx(length, rel=0.07)
    assert found.values[0, 2] == pytest.approx(width, rel=0.07)
    assert found.values[0, 0] == pytest.approx(
        0.25 * np.pi * found.values[0, 1] * found.values[0, 2]
    )
    assert found.values[0, 3] == pytest.approx(found.values[0, 1] / found.values[0, 2])


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"contrast": -4.0}, Flag.UNLIKE),
        ({"contrast": 120.0}, Flag.UNLIKE),  # overexposed: there is no edge left
        ({"at": ((54.3, 45.2), (58.0, 53.0))}, Flag.UNLIKE),
        ({"blur_px": 3.0}, Flag.BLURRED),
    ],
)
def test_what_is_not_one_sharp_head_has_no_size(changes: dict[str, object], flag: Flag) -> None:
    image, planes, seen, box = drawn(**changes)  # type: ignore[arg-type]
    found = with_grey_heads(seen, planes, image, box, UM_PER_PX)
    if seen.flags[0] & int(Flag.OVERLAP):
        return  # told already
    assert np.isnan(found.values[0, :4]).all()
    assert Flag(int(found.flags[0])) & flag


def test_only_what_is_asked_for_is_fitted() -> None:
    image, planes, seen, box = drawn()
    none = with_grey_heads(seen, planes, image, box, UM_PER_PX, np.zeros(0, np.int64))
    np.testing.assert_array_equal(none.values, seen.values)
    np.testing.assert_array_equal(none.flags, seen.flags)
    nothing = measure_shapes(planes, np.zeros((0, 4)), *SIZE)
    assert len(with_grey_heads(nothing, planes, image, np.zeros((0, 4)), UM_PER_PX)) == 0


@pytest.mark.parametrize("contrast", [-80.0, 80.0])
def test_any_grey_levels_give_finite_numbers(contrast: float) -> None:
    rng = np.random.default_rng(4)
    v, u = np.mgrid[:24, :24]
    begin = np.array([12.0, 12.0, 9.0, 6.0, 1.0, 0.0])
    for _ in range(20):
        grey = rng.uniform(0, 255, u.size)
        pixel = np.stack([u.ravel(), v.ravel(), grey], axis=1).astype(float)
        found, squares = fit_ellipse(pixel, begin, 120.0, contrast, UM_PER_PX)
        assert np.isfinite(found).all()
        assert np.isfinite(squares)


@pytest.mark.parametrize("modality", ["brightfield", "phase"])
def test_sizes_of_the_specimens_heads(modality: str) -> None:
    specimen = Specimen(profile("exam", modality=modality), 61)
    sizes: dict[int, list[Float64]] = {}
    for k in range(4):
        truth = specimen.truth(0.25 * k, np.zeros(2), masks=True)
        assert truth.part_map is not None
        image = specimen.render(0.25 * k, 0.008, lambda t: np.zeros((len(t), 2)))
        shown = np.flatnonzero(truth.visible & truth.whole)
        planes = planes_of_parts(truth.part_map)
        shapes = measure_shapes(planes, truth.box_px[shown], *image.shape)
        found = with_grey_heads(shapes, planes, image, truth.box_px[shown], UM_PER_PX)
        for row, sperm in enumerate(truth.sperm_id[shown].tolist()):
            if np.isfinite(found.values[row, 0]) and not found.flags[row] & int(Flag.OVERLAP):
                sizes.setdefault(sperm, []).append(found.values[row, 1:3] * UM_PER_PX)
    rows = {int(str(row["track_id"])): row for row in sperm_rows(specimen, [truth], 30.0)}
    known = [k for k in sizes if len(sizes[k]) >= 3 and k in rows]
    assert len(known) >= 6
    names = ("head_length_um", "head_width_um")
    true = np.array([[float(str(rows[k][name])) for name in names] for k in known])
    error = np.abs(np.array([np.median(sizes[k], axis=0) for k in known]) - true)
    assert (error.sum(axis=0) / true.sum(axis=0) < (0.05, 0.06)).all()


def test_the_line_of_the_calibration_is_not_bent_by_what_was_mixed_up() -> None:
    rng = np.random.default_rng(5)
    fitted = rng.uniform(2.0, 7.0, 200)
    true = 0.95 * fitted + 0.3 + rng.normal(0.0, 0.05, 200)
    true[:20] *= 2.0
    assert line_through(fitted, true) == pytest.approx([0.95, 0.3], abs=0.04)
