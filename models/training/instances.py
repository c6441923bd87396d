"""The sperm of a labelled frame one by one: head, class, pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.labelled_frames import LabelledFrame
from models.types import SpermClass


@dataclass(frozen=True, slots=True)
class Instance:
    """One sperm, or the part of it that is labelled.

    Attributes
    ----------
    corner_px : x0, y0, width, height, or None
        Of the head, from edge to edge; None where it is not labelled.
    label : SpermClass
        BACKGROUND: normal and abnormal are not told apart.
    identity : int or None
    mask : (H, W) bool or None
    """

    corner_px: tuple[float, float, float, float] | None
    label: SpermClass
    identity: int | None
    mask: NDArray[np.bool_] | None


def corner_box(centre_box: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return x0, y0, width, height from edge to edge of centre x, y, width, height."""
    x, y, width, height = (float(v) for v in centre_box)
    return x - width / 2 + 0.5, y - height / 2 + 0.5, width, height


def instances(frame: LabelledFrame) -> Iterator[Instance]:
    """Yield every sperm of a frame; heads and pixels of one identity come together.

    Pixels of another class than their head's follow without head, with its identity. Pixels
    without identities are split into connected pieces.
    """
    pieces = dict(_pieces(frame))
    for k, box in enumerate(frame.box_px):
        number = -1 if frame.sperm_id is None else int(frame.sperm_id[k])
        identity = number if number > 0 else None
        label = SpermClass(int(frame.label[k]))
        by_class = {} if identity is None else _by_class(frame, pieces.pop(identity, None))
        yield Instance(corner_box(box), label, identity, by_class.pop(label, None))
        for kind, mask in by_class.items():
            yield Instance(None, kind, identity, mask)
    for key, piece in sorted(pieces.items()):
        for kind, mask in _by_class(frame, piece).items():
            yield Instance(None, kind, key if key > 0 else None, mask)


def _by_class(
    frame: LabelledFrame, mask: NDArray[np.bool_] | None
) -> dict[SpermClass, NDArray[np.bool_]]:
    if mask is None or frame.class_map is None:
        return {}
    parts = {kind: mask & (frame.class_map == kind) for kind in SpermClass if kind}
    return {kind: part for kind, part in parts.items() if part.any()}


def _pieces(frame: LabelledFrame) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    if frame.class_map is None:
        return
    if frame.instance_map is not None:
        for key in np.unique(frame.instance_map):
            if key:
                yield int(key), frame.instance_map == key
        return
    number = 0
    for kind in (SpermClass.NORMAL, SpermClass.ABNORMAL):
        count, pieces = cv2.connectedComponents((frame.class_map == kind).astype(np.uint8))
        for k in range(1, count):
            number -= 1
            yield number, np.asarray(pieces == k)
