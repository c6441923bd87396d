"""How far a picture has moved: phase correlation, to a few hundredths of a pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

FINE_PX = 1.0  # standard deviation of the smoothing: noise out, texture in
COARSE_PX = 24.0  # what is larger than this is light, not texture
MIN_OVERLAP = 0.25  # of the picture, along each axis
_UPSAMPLE = 20
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Shift:
    """Motion of the picture's content, image frame.

    Attributes
    ----------
    x_px, y_px : float
        Where a point of the first picture is in the second, relative to before.
    likeness : float
        Correlation of the two pictures where they overlap once aligned: 1 for equal pictures,
        about 0 for pictures that have nothing in common.
    """

    x_px: float
    y_px: float
    likeness: float


def still_pattern(images: Sequence[UInt8]) -> Float32:
    """Give what stays in place (H, W) while the slide moves: uneven light and the sensor's pattern.

    Without its removal a faint specimen seems to stand still.
    """
    return np.asarray(np.mean(np.stack(images), axis=0, dtype=np.float32), dtype=np.float32)


def texture(image: UInt8 | Float32, pattern: Float32 | None = None) -> Float32:
    """Return the picture (H, W) without light, sensor pattern and pixel noise."""
    flat = image.astype(np.float32)
    if pattern is not None:
        flat -= pattern
    return np.asarray(
        cv2.GaussianBlur(flat, (0, 0), FINE_PX) - cv2.GaussianBlur(flat, (0, 0), COARSE_PX),
        dtype=np.float32,
    )


def measure_shift(
    before: Float32, after: Float32, expected_px: tuple[float, float] | None = None
) -> Shift:
    """Measure how the content of ``before`` (H, W) has moved in ``after`` (H, W).

    Phase correlation (Kuglin and Hines, 1975) of what both pictures show, repeated on the overlap
    that the pass before has found, with the peak read from a Fourier transform on a finer grid
    (Guizar-Sicairos, Thurman and Fienup, Opt. Lett. 33, 156, 2008).

    Parameters
    ----------
    before, after : textures, as from ``texture``
    expected_px : where to begin; None looks everywhere
    """
    height, width = before.shape
    x, y = (0.0, 0.0) if expected_px is None else expected_px
    if expected_px is None:
        dx, dy = _correlate(before, after, upsample=False)
        x, y = dx, dy
    likeness = 0.0
    for _ in range(_PASSES):
        whole_x, whole_y = round(x), round(y)
        if abs(whole_x) > (1 - MIN_OVERLAP) * width or abs(whole_y) > (1 - MIN_OVERLAP) * height:
            return Shift(x, y, 0.0)
        here, there = _overlap(before, after, whole_x, whole_y)
        dx, dy = _correlate(here, there, upsample=True)
        moved = math.hypot(whole_x + dx - x, whole_y + dy - y)
        x, y = whole_x + dx, whole_y + dy
        if moved < 0.5:
            likeness = _likeness(here, there, dx, dy)
            break
    return Shift(x, y, likeness)


def _overlap(before: Float32, after: Float32, x: int, y: int) -> tuple[Float32, Float32]:
    """Cut out what both show, if ``after`` shows everything (x, y) further."""
    height, width = before.shape
    rows = slice(max(0, -y), min(height, height - y))
    columns = slice(max(0, -x), min(width, width - x))
    here = before[rows, columns]
    there = after[rows.start + y : rows.stop + y, columns.start + x : columns.stop + x]
    return here, there


def _window(height: int, width: int) -> Float32:
    """Give a flat top with cosine flanks, an eighth of the side each."""

    def flank(count: int) -> Float64:
        wide = max(1, count // 8)
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(wide) + 0.5) / wide)
        return np.concatenate([ramp, np.ones(count - 2 * wide), ramp[::-1]])

    return np.asarray(np.outer(flank(height), flank(width)), dtype=np.float32)


def _correlate(here: Float32, there: Float32, *, upsample: bool) -> tuple[float, float]:
    """Give the shift (x, y) of ``there`` against ``here``, both (h, w), within half their size."""
    height, width = here.shape
    window = _window(height, width)
    rows, columns = cv2.getOptimalDFTSize(height), cv2.getOptimalDFTSize(width)
    spectrum = np.fft.rfft2(there * window, (rows, columns))
    spectrum *= np.conj(np.fft.rfft2(here * window, (rows, columns)))
    size = np.abs(spectrum)
    # Half way between phase correlation and plain correlation: sharp, yet deaf to empty bands.
    spectrum /= np.sqrt(size * max(float(size.mean()), 1e-12)) + 1e-12
    surface = np.fft.irfft2(spectrum, (rows, columns))
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    y = float(row - rows if row > rows // 2 else row)
    x = float(column - columns if column > columns // 2 else column)
    if not upsample:
        return x, y
    for reach, step in ((1.0, 0.25), (0.25, 1.0 / _UPSAMPLE)):
        offsets = np.arange(-reach, reach + step / 2, step)
        fine = _fine(spectrum, rows, columns, x + offsets, y + offsets)
        i, j = np.unravel_index(int(fine.argmax()), fine.shape)
        x, y = x + float(offsets[j]), y + float(offsets[i])
        if step < 0.1 and 0 < i < len(offsets) - 1 and 0 < j < len(offsets) - 1:
            x += step * _vertex(fine[i, j - 1], fine[i, j], fine[i, j + 1])
            y += step * _vertex(fine[i - 1, j], fine[i, j], fine[i + 1, j])
    return x, y


def _fine(
    spectrum: NDArray[np.complex128], rows: int, columns: int, x: Float64, y: Float64
) -> Float64:
    """Evaluate the correlation at (y, x), by the Fourier sum itself."""
    fy = np.fft.fftfreq(rows)
    fx = np.fft.rfftfreq(columns)
    twice = np.full(len(fx), 2.0)
    twice[0] = 1.0
    rows_part = np.exp(2j * np.pi * np.outer(y, fy))
    columns_part = np.exp(2j * np.pi * np.outer(fx, x)) * twice[:, None]
    return np.asarray((rows_part @ spectrum @ columns_part).real, dtype=np.float64)


def _vertex(before: float, here: float, after: float) -> float:
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def _likeness(here: Float32, there: Float32, dx: float, dy: float) -> float:
    """Correlation coefficient of the two once ``there`` is moved back."""
    height, width = here.shape
    back = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(there, back, (width, height), flags=flags)
    a, b = here[3:-3, 3:-3].ravel(), moved[3:-3, 3:-3].ravel()
    spread = float(np.std(a)) * float(np.std(b))
    if not spread > 1e-9:
        return 0.0
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread
