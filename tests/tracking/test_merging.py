"""One detection for two heads corrects both tracks."""

from __future__ import annotations

import numpy as np
import pytest

from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.types import Float64, Tracks
from tests.tracking.swimmers import step

FPS = 30.0
TWO = np.array([[-1.75, 0.0], [1.75, 0.0]])
MERGED = slice(60, 75)


def follow(merged_um: float, *, turn_um_s: float = 20.0) -> tuple[list[Tracks], Float64]:
    """Two sperm side by side that are found as one for half a second, and turn meanwhile."""
    rng = np.random.default_rng(4)
    tracker = Tracker(TrackerSettings(merged_um=merged_um))
    time_s = np.arange(90) / FPS
    middle = np.stack(
        [60.0 + 10.0 * time_s, 80.0 + turn_um_s * np.maximum(time_s - 2.0, 0.0)], axis=1
    )
    steps = []
    for k, now in enumerate(time_s.tolist()):
        heads = middle[k] + TWO
        if MERGED.start <= k < MERGED.stop:
            heads = heads.mean(axis=0, keepdims=True)
        steps.append(step(tracker, now, heads + rng.normal(0.0, 0.2, heads.shape)))
    return steps, middle


def test_both_follow_the_middle_and_stay_apart() -> None:
    steps, middle = follow(5.0)
    for k in range(MERGED.start + 2, MERGED.stop):
        place = steps[k].position_um
        assert len(place) == 2
        # Nobody's own: the servo and the kinematics see a gap.
        assert np.isnan(steps[k].raw_um).all()
        assert np.hypot(*(place.mean(axis=0) - middle[k])) < 1.2
    assert steps[-1].track_id.tolist() == steps[50].track_id.tolist()
    np.testing.assert_allclose(
        np.sort(steps[-1].position_um[:, 0]), np.sort((middle[-1] + TWO)[:, 0]), atol=1.0
    )


def test_without_it_they_lose_the_distance_between_them() -> None:
    off, on = (
        np.mean(
            [
                abs(np.hypot(*np.diff(tracks.position_um, axis=0)[0]) - 3.5)
                for tracks in follow(um)[0][MERGED]
            ]
        )
        for um in (0.0, 5.0)
    )
    assert on < off


@pytest.mark.parametrize("merged_um", [0.0, 5.0])
def test_a_head_that_is_seen_on_its_own_is_no_part_of_another(merged_um: float) -> None:
    rng, tracker = np.random.default_rng(0), Tracker(TrackerSettings(merged_um=merged_um))
    heads = np.array([[50.0, 50.0], [53.5, 50.0]])
    for k in range(60):
        tracks = step(tracker, k / FPS, heads + rng.normal(0.0, 0.2, (2, 2)))
    assert (tracks.detection >= 0).all()
    np.testing.assert_allclose(np.sort(tracks.position_um[:, 0]), [50.0, 53.5], atol=0.5)
    # One is gone for good: its track ends, though the other's head is near.
    for k in range(60, 60 + 75):
        tracks = step(tracker, k / FPS, heads[:1] + rng.normal(0.0, 0.2, (1, 2)))
    assert len(tracks) == 1
