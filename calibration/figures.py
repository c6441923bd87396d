"""Pictures of what was measured: what a technician looks at before accepting it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.beads import Beads
from calibration.pixel_size import PixelSize

UInt8 = NDArray[np.uint8]

# Okabe and Ito's colours, distinguishable for the colour-blind; red, green, blue.
ORANGE = (230, 159, 0)
SKY = (86, 180, 233)
GREEN = (0, 158, 115)
VERMILION = (213, 94, 0)


def colour(image: UInt8) -> UInt8:
    """Give a picture (H, W) as (H, W, 3), to be drawn upon."""
    return np.asarray(np.repeat(image[:, :, None], 3, axis=2), dtype=np.uint8)


def caption(picture: UInt8, *lines: str) -> UInt8:
    """Put lines of text below a picture (H, W, 3); a new picture."""
    height = 22 * len(lines) + 8
    strip = np.full((height, picture.shape[1], 3), 255, np.uint8)
    for row, line in enumerate(lines):
        at = (8, 20 + 22 * row)
        cv2.putText(strip, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    return np.concatenate([picture, strip])


def picture_of_ruling(image: UInt8, size: PixelSize) -> UInt8:
    """Draw the ticks that were used over the picture (H, W); (H', W, 3), red, green, blue.

    Every tenth division is in another colour, so that a skipped tick is seen.
    """
    picture = colour(image)
    for ends, index in zip(size.ends_px, size.index, strict=True):
        (x0, y0), (x1, y1) = np.round(ends * 16).astype(int).tolist()
        hue = VERMILION if index % 10 == 0 else SKY
        cv2.line(picture, (x0, y0), (x1, y1), hue, 1, cv2.LINE_AA, shift=4)
    share = 100 * size.uncertainty_um_per_px / size.um_per_px
    return caption(
        picture,
        f"{size.um_per_px:.5f} um per pixel, sd {share:.3f} %, {len(size.index)} ticks over "
        f"{int(size.index.max() - size.index.min())} divisions",
        f"ticks off an even ruling by {size.residual_um:.3f} um rms",
    )


def picture_of_beads(image: UInt8, beads: Beads, um_per_px: float) -> UInt8:
    """Draw the edges that were measured over the picture (H, W); (H', W, 3), red, green, blue."""
    picture = colour(image)
    for (x, y), across in zip(beads.centre_px, beads.diameter_px, strict=True):
        at = (round(16 * float(x)), round(16 * float(y)))
        cv2.circle(picture, at, round(8 * float(across)), VERMILION, 1, cv2.LINE_AA, shift=4)
    return caption(
        picture,
        f"{len(beads.diameter_px)} beads, median {beads.median_px * um_per_px:.3f} um, "
        f"sd {beads.scatter_px * um_per_px:.3f} um",
        f"by {um_per_px:.5f} um per pixel",
    )
