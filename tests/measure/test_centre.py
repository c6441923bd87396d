"""The head's centre in the picture: finer than its box, and of one moment."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.measure.centre import refine_centres
from models.measure.motility import measure_path
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.types import Float64, UInt8

SIZE = (90, 110)


def picture(heads: list[tuple[float, float]], contrast: float = -70.0) -> UInt8:
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    image = np.zeros(SIZE)
    for x, y in heads:
        image += contrast * np.exp(-(((u - x) / 4.0) ** 2 + ((v - y) / 3.0) ** 2))
    rng = np.random.default_rng(1)
    image = 140.0 + gaussian_filter(image, 0.5) + rng.normal(0.0, 2.0, SIZE)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("contrast", [-70.0, 60.0])
def test_the_centre_is_found_from_a_box_that_is_off(contrast: float) -> None:
    heads = [(30.3, 40.7), (70.6, 50.2)]
    box = np.array([[x + 1.5, y - 1.2, 18.0, 18.0] for x, y in heads])
    np.testing.assert_allclose(refine_centres(picture(heads, contrast), box), heads, atol=0.25)


def test_what_the_picture_does_not_show_stays_where_the_box_is() -> None:
    box = np.array([[50.0, 20.0, 14, 14], [60.0, 30.0, 1.0, 1.0], [np.nan] * 4])
    found = refine_centres(picture([(30.0, 60.0)]), box)
    np.testing.assert_array_equal(found, box[:, :2])
    assert refine_centres(picture([]), np.zeros((0, 4))).shape == (0, 2)


@pytest.mark.parametrize("box", [[4.0, 45.0, 14, 14], [106.0, 45.0, 10, 14], [50.0, 86.0, 9, 9]])
def test_a_head_that_the_border_cuts_has_no_middle(box: list[float]) -> None:
    image = picture([(box[0], box[1])])
    assert np.isnan(refine_centres(image, np.array([box]))).all()
    inside = np.array([[40.0, 45.0, 14.0, 14.0]])
    assert np.isfinite(refine_centres(image, inside)).all()


def test_a_neighbour_does_not_pull() -> None:
    heads = [(40.0, 45.0), (51.0, 45.0)]
    box = np.array([[x, y, 14.0, 14.0] for x, y in heads])
    np.testing.assert_allclose(refine_centres(picture(heads), box), heads, atol=0.5)


def test_the_yawing_of_an_interlaced_film_is_not_averaged_away() -> None:
    specimen = Specimen(profile("exam"), 9100)
    paths: dict[int, list[tuple[float, Float64, Float64]]] = {}
    for k in range(24):
        time_s = k / 30.0
        truth = specimen.truth(time_s, np.zeros(2))
        image = specimen.render(time_s, 0.008, lambda t: np.zeros((len(t), 2)))
        shown = np.flatnonzero(truth.visible & truth.whole & (np.abs(truth.z_um) < 3.0))
        found = refine_centres(image, truth.box_px[shown])
        for row, k_true in enumerate(shown):
            sperm = int(truth.sperm_id[k_true])
            paths.setdefault(sperm, []).append((time_s, found[row], truth.position_px[k_true]))
    error, total = 0.0, 0.0
    for path in paths.values():
        if len(path) < 24:
            continue
        time_s = np.array([one[0] for one in path])
        seen, true = (np.array([one[c] for one in path]) * 0.495 for c in (1, 2))
        speed = measure_path(time_s, true).values
        if speed["vsl_um_s"] >= 20.0:
            error += abs(measure_path(time_s, seen).values["vcl_um_s"] - speed["vcl_um_s"])
            total += speed["vcl_um_s"]
    assert total > 200.0
    assert error / total < 0.06
