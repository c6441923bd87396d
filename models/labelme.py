"""Writes labelme's files: rectangles about heads, outlines of pixels, the picture beside them.

Outlines are exact: every corner of a region's border is kept (70 points for a sperm, 170 at most),
as read back by ``models.training.labelme_json``. Fewer points would cost what people correct:
half of them a Dice of 0.98, a quarter 0.95, and thin tails first.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.types import SpermClass, UInt8

CLASS_NAMES = {
    SpermClass.BACKGROUND: "sperm",
    SpermClass.NORMAL: "normal",
    SpermClass.ABNORMAL: "abnormal",
}

LabelmeShape = dict[str, object]


def write_labelme_frame(
    folder: Path, name: str, image: UInt8, shapes: Sequence[LabelmeShape]
) -> Path:
    """Write ``name.png`` and ``name.json`` into a folder that exists; return the JSON's path.

    Parameters
    ----------
    folder : Path
    name : str
    image : (H, W) uint8
    shapes : sequence of dict
        As ``rectangle`` and ``outlines`` make them.

    Raises
    ------
    DataError
        A picture that cannot be encoded.
    """
    picture = folder / f"{name}.png"
    done, packed = cv2.imencode(".png", image)
    if not done:
        raise DataError(f"{picture}: a picture of shape {image.shape} cannot be encoded")
    picture.write_bytes(packed.tobytes())
    content = {
        "version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": picture.name,
        "imageData": None, "imageHeight": image.shape[0], "imageWidth": image.shape[1],
    }  # fmt: skip
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def rectangle(
    label: str, identity: int | None, corner_px: tuple[float, float, float, float]
) -> LabelmeShape:
    """Return a box x0, y0, width, height, from edge to edge (the top-left pixel spans 0 to 1).

    ``identity`` becomes ``group_id``: it tells which outlines belong to the same sperm.
    """
    x, y, width, height = corner_px
    return _shape(label, identity, "rectangle", [[x, y], [x + width, y + height]])


@dataclass(frozen=True, slots=True)
class Region:
    """Pixels of one sperm and class.

    Attributes
    ----------
    mask : (H, W) bool
    label : str
    identity : int or None
        ``group_id``: that of the head's rectangle.
    """

    mask: NDArray[np.bool_]
    label: str
    identity: int | None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A connected piece of a region in its own window, with and without its holes."""

    region: Region
    window: tuple[slice, slice]
    outline: NDArray[np.int32]
    own: NDArray[np.bool_]
    filled: NDArray[np.bool_]


def outlines(regions: Iterable[Region]) -> list[LabelmeShape]:
    """Return one polygon for each piece of each region, thin ones and single pixels, too.

    The regions do not overlap. The larger piece comes first: when a file is read, later shapes lie
    over earlier ones, so a hole in which others lie needs none in the polygon. What of a larger
    piece lies in such a hole follows at the end, as a piece more. A piece with a hole where the
    background shows, which no polygon has, becomes a mask shape.
    """
    pieces = [piece for region in regions for piece in _pieces(region)]
    pieces.sort(key=lambda piece: int(piece.filled.sum()), reverse=True)
    if not pieces:
        return []
    last = np.full(pieces[0].region.mask.shape, -1, np.int32)
    for k, piece in enumerate(pieces):
        last[piece.window][piece.own] = k
    shapes, above = [], list[_Piece]()
    for k, piece in enumerate(pieces):
        hole = piece.filled & ~piece.own
        others = last[piece.window]
        if (others[hole] < 0).any():
            shapes.append(_mask(piece))
            continue
        shapes.append(_polygon(piece))
        # What of a hole belongs to a larger piece, which this one lies over, lies over both.
        for j in np.unique(others[hole & (others < k)]).tolist():
            part = np.zeros(last.shape, bool)
            part[piece.window] = hole & (others == j)
            above += _pieces(replace(pieces[j].region, mask=part))
    return shapes + [_polygon(p) if (p.filled == p.own).all() else _mask(p) for p in above]


def _pieces(region: Region) -> Iterator[_Piece]:
    found, nesting = cv2.findContours(
        region.mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    for outline, (_, _, _, parent) in zip(found, nesting[0] if found else [], strict=True):
        if parent >= 0:
            continue  # a hole
        x, y, width, height = cv2.boundingRect(outline)
        window = slice(y, y + height), slice(x, x + width)
        filled = np.zeros((height, width), np.uint8)
        cv2.drawContours(filled, [outline], 0, 1, cv2.FILLED, offset=(-x, -y))
        own = region.mask[window] & (filled > 0)
        yield _Piece(region, window, np.asarray(outline, np.int32), own, filled > 0)


def _polygon(piece: _Piece) -> LabelmeShape:
    points = (piece.outline[:, 0, :] + 0.5).tolist()
    # A pixel alone, or a line of them, is a triangle without area.
    while len(points) < 3:
        points.append(points[-1])
    return _shape(piece.region.label, piece.region.identity, "polygon", points)


def _mask(piece: _Piece) -> LabelmeShape:
    rows, columns = piece.window
    corners = [[columns.start, rows.start], [columns.stop - 1, rows.stop - 1]]
    shape = _shape(piece.region.label, piece.region.identity, "mask", corners)
    packed = cv2.imencode(".png", piece.own.astype(np.uint8))[1]
    shape["mask"] = base64.b64encode(packed.tobytes()).decode("ascii")
    return shape


def _shape(label: str, identity: int | None, kind: str, points: list[list[float]]) -> LabelmeShape:
    return {
        "label": label, "points": points, "group_id": identity, "description": "",
        "shape_type": kind, "flags": {}, "mask": None,
    }  # fmt: skip
