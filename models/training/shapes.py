"""Labelled shapes of one frame, checked, and made into a LabelledFrame."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.training.labelled_frames import LabelledFrame
from models.types import Float64, SpermClass, UInt8

_LOG = logging.getLogger("sfcscope.data")
# A hand that follows the border may slip beyond it by this much.
_SLACK_PX = 2.0
# Corners of an outline are drawn to a sixteenth of a pixel.
_FRACTION_BITS = 4


@dataclass(frozen=True, slots=True)
class HeadShape:
    """One labelled box.

    Attributes
    ----------
    where : str
        File and shape, for messages.
    corner_px : x0, y0, width, height
        From edge to edge: the top-left pixel spans 0 to 1.
    label : SpermClass or None
        BACKGROUND: a sperm of no class; None: ignored.
    identity : int or None
        As ``identities.identity_of`` says.
    """

    where: str
    corner_px: tuple[float, float, float, float]
    label: SpermClass | None
    identity: int | None = None


@dataclass(frozen=True, slots=True)
class SpermShape:
    """Pixels of one whole sperm.

    Attributes
    ----------
    where : str
    label : SpermClass
    mask : (H, W) bool
    identity : int or None
        That of its head, where labelled.
    """

    where: str
    label: SpermClass
    mask: NDArray[np.bool_]
    identity: int | None = None


def labelled_frame(
    image: UInt8,
    heads: Sequence[HeadShape],
    sperm: Sequence[SpermShape] | None,
    where: str,
    *,
    heads_unknown: bool = False,
) -> LabelledFrame:
    """Put the shapes of one frame together.

    Parameters
    ----------
    image : (H, W) uint8
    heads : sequence of HeadShape
    sperm : sequence of SpermShape, or None
        None: nothing is known of the pixels. Later ones lie over earlier ones.
    where : str
        The frame's file, for messages.
    heads_unknown : bool
        Sperm were outlined but no head was boxed: the whole picture is one ignored region.

    Raises
    ------
    DataError
        A box that is empty or whose centre lies outside the picture, or a mask of another size.
    """
    height, width = image.shape
    rows: list[tuple[list[float], SpermClass, int | None]] = []
    ignored: list[list[float]] = []
    for head in heads:
        x, y, w, h = head.corner_px
        if not (np.isfinite(head.corner_px).all() and w > 0 and h > 0):
            raise DataError(f"{head.where}: box {x:g} {y:g} {w:g} {h:g} is empty; draw it again")
        if not (0 <= x + w / 2 <= width and 0 <= y + h / 2 <= height):
            raise DataError(
                f"{head.where}: a box at {x + w / 2:.0f}, {y + h / 2:.0f} px lies outside the "
                f"picture of shape {image.shape} of {where}; labels and picture do not belong "
                "together"
            )
        box = [x + w / 2 - 0.5, y + h / 2 - 0.5, w, h]
        if head.label is None:
            ignored.append(box)
        else:
            rows.append((box, head.label, head.identity))
    if heads_unknown:
        ignored.append([(width - 1) / 2, (height - 1) / 2, float(width), float(height)])
    class_map, instance_map = _maps(image, sperm)
    # Heads without identity are told apart by negative numbers that no pixels have.
    masks = 0 if sperm is None else len(sperm)
    identities = [
        -(masks + number) if identity is None else identity
        for number, (_, _, identity) in enumerate(rows, start=1)
    ]
    known = any(identity > 0 for identity in identities) or not rows
    return LabelledFrame(
        image,
        np.array([box for box, _, _ in rows], np.float64).reshape(-1, 4),
        np.array([int(label) for _, label, _ in rows], np.int8),
        np.array(identities, np.int64) if known else None,
        np.array(ignored, np.float64).reshape(-1, 4),
        class_map,
        instance_map=instance_map,
    )


def _maps(
    image: UInt8, sperm: Sequence[SpermShape] | None
) -> tuple[UInt8 | None, NDArray[np.int32] | None]:
    if sperm is None:
        return None, None
    class_map = np.zeros(image.shape, np.uint8)
    instance_map = np.zeros(image.shape, np.int32)
    for number, one in enumerate(sperm, start=1):
        if one.mask.shape != image.shape:
            raise DataError(
                f"{one.where}: a mask of shape {one.mask.shape} lies outside a picture of shape "
                f"{image.shape}; labels and picture do not belong together"
            )
        class_map[one.mask] = one.label
        # Sperm without an identity of their own are told apart by negative numbers.
        instance_map[one.mask] = -number if one.identity is None else one.identity
    return class_map, instance_map


def outline_mask(points_px: Float64, shape: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    """Fill an outline, its border included, as labelling programs do.

    Parameters
    ----------
    points_px : (N, 2) float64
        x, y from edge to edge: the top-left pixel spans 0 to 1.
    shape : (height, width)
    where : str
        File and shape, for messages.

    Raises
    ------
    DataError
        Fewer than three points, points that are no numbers, or points outside the picture.
    """
    height, width = shape
    if len(points_px) < 3:
        raise DataError(f"{where}: an outline of {len(points_px)} points; three are needed")
    if not np.isfinite(points_px).all():
        raise DataError(f"{where}: a point of it is no number (NaN or infinite); draw it again")
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    if (low < -_SLACK_PX).any() or (high > np.array([width, height]) + _SLACK_PX).any():
        raise DataError(
            f"{where}: an outline from {low[0]:.0f}, {low[1]:.0f} to {high[0]:.0f}, {high[1]:.0f} "
            f"px lies outside a picture of shape {(height, width)}; labels and picture do not "
            "belong together"
        )
    fixed = np.round((points_px - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [fixed], 1, cv2.LINE_8, _FRACTION_BITS)
    return mask.astype(bool)


def tell_left_out(fault: DataError) -> None:
    """Say which file was left out, and why."""
    _LOG.warning("left out: %s", fault)
