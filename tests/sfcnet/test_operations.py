"""Own suppression, ROIAlign, anchors and maps against slow references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_reference import greedy_nms
from slow_reference import roi_align as slow_roi_align
from torch.nn import functional

from models.sfcnet.anchors import anchor_boxes, decode, encode
from models.sfcnet.crowd import prior_logit, room_for
from models.sfcnet.encoder import Pool
from models.sfcnet.finish import class_and_part_maps
from models.sfcnet.nms import box_iou, nms_sorted
from models.sfcnet.proposals import best_of, select_proposals
from models.sfcnet.roi_align import level_of, roi_align


def random_boxes(rng, count, span=100.0):
    centre = rng.uniform(0, span, (count, 2))
    half = rng.uniform(2, 12, (count, 2))
    return np.concatenate([centre - half, centre + half], 1).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 80), st.floats(0.05, 0.95))
def test_suppression_equals_the_greedy_rule(seed, count, limit):
    boxes = random_boxes(np.random.default_rng(seed), count, span=60.0)
    found = nms_sorted(torch.from_numpy(boxes), limit, 0).numpy()
    assert (found == greedy_nms(boxes.astype(float), limit)).all()


def test_suppression_in_a_fixed_number_of_rounds_is_the_same_without_long_chains():
    boxes = torch.from_numpy(random_boxes(np.random.default_rng(3), 300, span=300.0))
    assert torch.equal(nms_sorted(boxes, 0.5, 16), nms_sorted(boxes, 0.5, 0))


def test_suppression_follows_a_chain_to_its_end():
    # Each box overlaps only the next: kept and suppressed alternate, the longest chain there is.
    x = torch.arange(40.0) * 4.0
    chain = torch.stack([x, torch.zeros(40), x + 10.0, torch.full((40,), 10.0)], 1)
    keep = nms_sorted(chain, 0.4, 0)
    assert keep.tolist() == [k % 2 == 0 for k in range(40)]


@pytest.mark.parametrize("samples", [1, 2])
def test_roi_align_equals_the_slow_one_on_every_level(samples):
    rng = np.random.default_rng(5)
    shapes, strides = [(24, 30), (12, 15), (6, 8), (3, 4)], [4, 8, 16, 32]
    features = [rng.standard_normal((5, *shape)).astype(np.float32) for shape in shapes]
    # Some reach over the border.
    boxes = random_boxes(rng, 16, span=110.0)
    levels = rng.integers(0, 4, 16)
    found = roi_align(
        [torch.from_numpy(f) for f in features],
        strides,
        torch.from_numpy(boxes),
        torch.from_numpy(levels),
        7,
        samples,
    ).numpy()
    slow = slow_roi_align([f.astype(float) for f in features], strides, boxes, levels, 7, samples)
    assert np.abs(found - slow).max() < 1e-4


def test_roi_align_passes_the_gradient_on():
    feature = torch.randn(3, 8, 8, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[3.3, 4.1, 17.2, 20.9]], dtype=torch.float64)
    level = torch.zeros(1, dtype=torch.int64)

    def pooled(x):
        return roi_align([x], [4], boxes, level, 3, 2)

    assert torch.autograd.gradcheck(pooled, (feature,))


def test_small_boxes_are_pooled_from_p2_and_large_ones_higher_up():
    side = torch.tensor([12.0, 60.0, 130.0, 260.0, 900.0])
    boxes = torch.stack([side * 0, side * 0, side, side], 1)
    assert level_of(boxes, 4).tolist() == [0, 0, 1, 2, 3]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_decoding_undoes_encoding(seed):
    rng = np.random.default_rng(seed)
    boxes, anchors = (torch.from_numpy(random_boxes(rng, 9)) for _ in range(2))
    assert torch.allclose(decode(encode(boxes, anchors), anchors), boxes, atol=1e-3)


def test_anchors_are_centred_on_their_cells():
    shapes = [[2, 3, 4], [1, 2, 8]]
    boxes = anchor_boxes(torch.arange(8 * 2), shapes, [12.0, 24.0], [0.5, 2.0])
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    # Cell (row 0, column 0) of stride 4 covers pixels 0 to 3: its centre is 1.5.
    assert centre[0].tolist() == [1.5, 1.5]
    assert centre[2].tolist() == [5.5, 1.5]
    assert centre[6].tolist() == [1.5, 5.5]
    assert centre[12].tolist() == [3.5, 3.5]
    size = boxes[:, 2:] - boxes[:, :2]
    assert torch.allclose(size[:12].prod(1), torch.tensor(144.0))
    assert torch.allclose(size[0, 1] / size[0, 0], torch.tensor(0.5))


def test_proposals_come_best_first_and_apart():
    generator = torch.Generator().manual_seed(1)
    objectness = torch.randn(3 * 10 * 12, generator=generator)
    deltas = 0.1 * torch.randn(3 * 10 * 12, 4, generator=generator)
    boxes, kept = select_proposals(
        objectness, deltas, [[10, 12, 4]], [12.0], [0.5, 1.0, 2.0], 200, 60, 0.5, 0
    )
    assert boxes.shape == (60, 4)
    assert kept[: int(kept.sum())].all()
    overlap = box_iou(boxes[kept], boxes[kept]).fill_diagonal_(0.0)
    assert overlap.max() <= 0.5


def test_the_worst_shape_of_a_cell_is_not_proposed():
    # Two cells whose shapes all look good, and a faint one: with four places it has one.
    objectness = torch.tensor([5.0, 4.8, 4.9, 3.0, 3.2, 3.1, 1.0, 0.5, 0.9])
    deltas = torch.zeros(9, 4)
    deltas[:, 2:] = torch.log(torch.arange(1, 10) / 40.0)[:, None]
    boxes, kept = select_proposals(
        objectness, deltas, [[1, 3, 16]], [16.0], [0.5, 1.0, 2.0], 5, 5, 0.99, 0
    )
    # Anchors 0, 2; 4, 5; 6: boxes grow with the anchor's number.
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    assert kept.all()
    assert area.tolist() == pytest.approx([(16 * n / 40.0) ** 2 for n in (1, 3, 5, 6, 7)])


@pytest.mark.parametrize(("likely", "room"), [(0, 40), (40, 40), (41, 43), (60, 100), (900, 120)])
def test_a_crowd_has_room_for_its_heads(likely: int, room: int) -> None:
    objectness = torch.full((1000,), -3.0)
    objectness[:likely] = 1.0
    wanted = room_for(objectness, 40, 120)
    assert int(wanted) == room
    assert int(room_for(objectness, 40, 0)) == 40
    assert float(prior_logit(wanted, 40, 120)) == pytest.approx(1.6 * (room - 40) / 80)


def test_proposals_of_a_crowd_are_those_of_a_longer_list_and_others_stay_as_they_were():
    generator = torch.Generator().manual_seed(2)
    objectness = torch.randn(3 * 20 * 24, generator=generator)
    deltas = 0.1 * torch.randn(3 * 20 * 24, 4, generator=generator)
    picture = (objectness, deltas, [[20, 24, 4]], [12.0], [0.5, 1.0, 2.0])

    def proposed(before: int, after: int, room: int | None = None, rounds: int = 0) -> torch.Tensor:
        given = None if room is None else torch.tensor(room)
        boxes, kept = select_proposals(*picture, before, after, 0.5, rounds, False, 360, given)
        return boxes[kept]

    assert torch.equal(proposed(120, 90, 120), proposed(120, 90))
    assert torch.equal(proposed(120, 90, 360), proposed(360, 270))
    assert len(proposed(120, 90, 360)) > len(proposed(120, 90))
    # Without looking at a number, as on a GPU.
    for room in (120, 200, 360):
        assert torch.equal(proposed(120, 40, room, 30), proposed(120, 40, room))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(1, 2), (3, 2), (5, 4)]))
def test_maps_equal_resize_and_argmax(seed, factor):
    logits = torch.randn(1, 7, 9, 11, generator=torch.Generator().manual_seed(seed))
    size = [9 * factor[1], 11 * factor[1]]
    full = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)[0]
    class_map, part_map = class_and_part_maps(logits[0].numpy(), *size)
    gap = full[:3].topk(2, dim=0).values
    clear = ((gap[0] - gap[1]) > 1e-5).numpy()
    assert (class_map == full[:3].argmax(0).numpy())[clear].all()
    parts = 1 + full[4:].argmax(0).numpy()
    gap = full[4:].topk(2, dim=0).values
    clear = clear & ((gap[0] - gap[1]) > 1e-5).numpy() & (class_map > 0)
    assert (part_map == parts)[clear].all()
    assert (part_map[class_map == 0] == 0).all()
    assert (part_map[class_map > 0] > 0).all()


@pytest.mark.parametrize("count", [1, 40, 600, 5000])
def test_the_best_of_many_are_those_of_a_full_sort(count: int) -> None:
    score = torch.randn(10007, generator=torch.Generator().manual_seed(count))
    best = torch.sort(score, descending=True).indices[:count]
    assert torch.equal(best_of(score, count), best)


@pytest.mark.parametrize("size", [(16, 24), (17, 24), (16, 23)])
def test_pooling_takes_the_largest_of_nine(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last)
    assert torch.equal(Pool()(x), functional.max_pool2d(x, 3, 2, 1))
