"""The marginals are those of Stone Soup, on random scenes."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import DataError
from models.tracking import bench_stonesoup
from models.tracking.bench_stonesoup import Scene, StoneSoup, marginals

pytest.importorskip("stonesoup", reason="Stone Soup is not installed")


def random_scene(seed: int, tracks: int, side_um: float) -> Scene:
    """Sperm anywhere in a square, seen with misses among false detections."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0.0, side_um, (tracks, 2))
    root = rng.normal(0.0, 1.0, (tracks, 4, 4)) * np.array([0.6, 0.6, 8.0, 8.0])[:, None]
    seen = place[rng.random(tracks) < 0.9] + rng.normal(0.0, 1.0, (1, 2))
    seen = seen + rng.normal(0.0, 1.0, seen.shape)
    false = rng.uniform(0.0, side_um, (rng.poisson(0.15 * tracks) + 1, 2))
    return Scene(
        mean=np.concatenate([place, rng.normal(0.0, 40.0, (tracks, 2))], axis=1),
        covariance=root @ root.transpose(0, 2, 1) + np.diag([0.1, 0.1, 10.0, 10.0]),
        measured_um=np.concatenate([seen, false]),
        variance_um2=float(rng.uniform(0.1, 2.0)),
        detection_probability=float(rng.uniform(0.7, 0.98)),
        gate_probability=float(rng.choice([0.95, 0.99, 0.997])),
        clutter_per_um2=float(10.0 ** rng.uniform(-5.0, -3.0)),
    )


@pytest.mark.parametrize("seed", range(12))
def test_marginals_equal_those_of_its_efficient_hypothesis_management(seed: int) -> None:
    scene = random_scene(seed, tracks=6 + 2 * seed, side_um=40.0)
    np.testing.assert_allclose(marginals(scene), StoneSoup().marginals(scene), rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_marginals_equal_those_of_its_enumeration(seed: int) -> None:
    scene = random_scene(seed, tracks=1 + seed % 5, side_um=12.0)
    theirs = StoneSoup(enumerate_all=True).marginals(scene)
    np.testing.assert_allclose(marginals(scene), theirs, rtol=0.0, atol=1e-9)


def test_without_stone_soup_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_stonesoup, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install stonesoup"):
        StoneSoup()
