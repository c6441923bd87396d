"""Windows of labelled frames: what of the truth lies in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.training.crops import UNKNOWN_PIXEL, Crop
from models.training.labelled_frames import LabelledFrame

# A head that a crop cuts so that less than this is left is neither right nor wrong to find.
LEAST_INSIDE = 0.5


def cut(frame: LabelledFrame, y: int, x: int, height: int, width: int) -> Crop:
    """Cut a window; beyond the picture it repeats the border and is unknown."""
    boxes, gone = boxes_in(frame.box_px, y, x, height, width)
    ignored, half_ignored = boxes_in(frame.ignored_px, y, x, height, width)
    return Crop(
        image=_window(frame.image, y, x, height, width, None),
        boxes=boxes,
        class_map=_map(frame.class_map, frame, y, x, height, width),
        part_map=_map(frame.part_map, frame, y, x, height, width),
        ignore=np.concatenate([ignored, half_ignored, gone]),
        to_head_px=_to_heads(frame, y, x, height, width),
        modality=frame.modality,
    )


def _to_heads(
    frame: LabelledFrame, y: int, x: int, height: int, width: int
) -> NDArray[np.float32] | None:
    """Lead from each pixel of a sperm to the middle of its head's box, also outside the window."""
    if frame.instance_map is None or frame.sperm_id is None or not len(frame.sperm_id):
        return None
    owner = frame.instance_map[y : y + height, x : x + width]
    # By rank, not by number: identities may be anything up to 2 147 483 647.
    order = np.argsort(frame.sperm_id)
    ranked = frame.sperm_id[order]
    inside = owner > 0  # below 0: a sperm without identity
    place = np.searchsorted(ranked, owner[inside]).clip(max=len(ranked) - 1)
    known = ranked[place] == owner[inside]
    away = np.full((*owner.shape, 2), np.nan)
    away[inside] = np.where(known[:, None], frame.box_px[order, :2][place], np.nan)
    away[..., 0] -= np.arange(x, x + owner.shape[1])
    away[..., 1] -= np.arange(y, y + owner.shape[0])[:, None]
    missing = ((0, 0), (0, height - owner.shape[0]), (0, width - owner.shape[1]))
    return np.pad(
        away.transpose(2, 0, 1).astype(np.float32), missing, constant_values=np.float32(np.nan)
    )


def _map(
    labels: NDArray[np.uint8] | None, frame: LabelledFrame, y: int, x: int, height: int, width: int
) -> NDArray[np.uint8]:
    if labels is None:
        labels = np.full(frame.image.shape, UNKNOWN_PIXEL, np.uint8)
    return _window(labels, y, x, height, width, UNKNOWN_PIXEL)


def _window(
    picture: NDArray[np.uint8], y: int, x: int, height: int, width: int, beyond: int | None
) -> NDArray[np.uint8]:
    part = picture[y : y + height, x : x + width]
    missing = ((0, height - part.shape[0]), (0, width - part.shape[1]))
    if beyond is None:
        return np.pad(part, missing, "edge")
    return np.pad(part, missing, constant_values=beyond)


def boxes_in(
    box_px: NDArray[np.float64], y: int, x: int, height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes cut to a window, those mostly inside and the others apart."""
    low = np.maximum(box_px[:, :2] - box_px[:, 2:] / 2 - (x, y), -0.5)
    high = np.minimum(box_px[:, :2] + box_px[:, 2:] / 2 - (x, y), (width - 0.5, height - 0.5))
    size = (high - low).clip(0)
    share = size.prod(1) / np.maximum(box_px[:, 2:].prod(1), 1e-9)
    boxes = np.concatenate([(low + high) / 2, size], 1).astype(np.float32)
    return boxes[share >= LEAST_INSIDE], boxes[(share > 0) & (share < LEAST_INSIDE)]
