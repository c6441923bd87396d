"""The outline of a sperm has the class of its track, and no neighbour is recoloured for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.measure.settled_class import settled
from models.types import SpermClass, Tracks, TrackState

N, A = SpermClass.NORMAL, SpermClass.ABNORMAL


def tracks(labels: list[int]) -> Tracks:
    n = len(labels)
    zeros = np.zeros((n, 2))
    return Tracks(
        0.0, np.arange(1, n + 1), zeros, zeros, np.zeros((n, 4, 4)), zeros, zeros + 12.0,
        np.ones(n), np.ones(n), np.full(n, TrackState.CONFIRMED, np.int8),
        np.array(labels, np.int8), np.arange(n),
    )  # fmt: skip


def sperm(class_map: np.ndarray, y: int, kind: int) -> tuple[float, float]:
    """A head with its tail to the right, in row y; returns its middle."""
    class_map[y - 3 : y + 4, 10:22] = kind
    class_map[y, 22:70] = kind
    return 15.6, float(y)


def picture(*kinds: int) -> tuple[np.ndarray, np.ndarray]:
    class_map = np.zeros((20 * len(kinds), 80), np.uint8)
    heads = [sperm(class_map, 10 + 20 * k, kind) for k, kind in enumerate(kinds)]
    return class_map, np.array(heads).reshape(-1, 2)


def test_head_and_tail_take_the_class_of_the_track() -> None:
    class_map, heads = picture(A, A)
    before = class_map.copy()
    shown = settled(class_map, heads, tracks([N, A]))
    assert (shown[:20][class_map[:20] > 0] == N).all()
    assert (shown[20:] == class_map[20:]).all()
    assert (class_map == before).all()


@given(st.lists(st.tuples(st.sampled_from([N, A]), st.sampled_from([N, A])), max_size=6))
def test_apart_from_each_other_all_have_their_own(kinds: list[tuple[int, int]]) -> None:
    class_map, heads = picture(*(frame for frame, _ in kinds))
    shown = settled(class_map, heads, tracks([track for _, track in kinds]))
    for k, (_, track) in enumerate(kinds):
        mine = slice(20 * k, 20 * k + 20)
        assert (shown[mine][class_map[mine] > 0] == track).all()
    assert ((shown > 0) == (class_map > 0)).all()


def test_where_two_touch_the_one_that_is_right_keeps_its_colour() -> None:
    class_map, heads = picture(A, A)
    class_map[10:30, 40] = A
    assert (settled(class_map, heads, tracks([N, A])) == class_map).all()
    both = settled(class_map, heads, tracks([N, N]))
    assert (both[class_map > 0] == N).all()


def test_a_neighbour_that_coasts_in_the_same_region_keeps_its_colour() -> None:
    class_map, heads = picture(A, A)
    class_map[10:30, 15] = A
    two = tracks([N, A])
    state = np.array([TrackState.CONFIRMED, TrackState.COASTING], np.int8)
    assert (settled(class_map, heads, replace(two, state=state)) == class_map).all()
    state[1] = TrackState.TENTATIVE  # no sperm yet
    assert (settled(class_map, heads, replace(two, state=state))[class_map > 0] == N).all()


@pytest.mark.parametrize("state", [TrackState.COASTING, TrackState.TENTATIVE])
def test_a_sperm_that_is_not_seen_recolours_nothing(state: TrackState) -> None:
    class_map, heads = picture(A)
    unseen = replace(tracks([N]), state=np.array([state], np.int8))
    assert settled(class_map, heads, unseen) is class_map


def test_heads_beside_the_picture_and_empty_maps_are_left_alone() -> None:
    class_map, _ = picture(A)
    outside = np.array([[-30.0, 5.0], [500.0, 900.0], [-1.0, -1.0]])
    assert settled(class_map, outside, tracks([N, N, N])) is class_map
    assert not settled(np.zeros((5, 5), np.uint8), outside, tracks([N, N, N])).any()
