"""Camera and film: uneven light, correlated noise, fixed pattern, digitisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.specimen.optics import Look
from models.specimen.profiles import Profile

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]

TILE = 512


def correlated_tile(
    rng: np.random.Generator, corr_x: tuple[float, ...], corr_y: tuple[float, ...], size: int = TILE
) -> Float32:
    """Periodic noise (size, size) of unit variance with a given autocorrelation.

    The power spectrum is the Fourier transform of the autocorrelation, negative parts (a
    measured correlation need not be a possible one) set to zero.
    """

    def spectrum(corr: tuple[float, ...]) -> NDArray[np.float64]:
        row = np.zeros(size)
        row[: len(corr)] = corr
        row[-len(corr) + 1 :] = corr[:0:-1]
        return np.asarray(np.fft.fft(row).real.clip(0.0, None))

    amplitude = np.sqrt(spectrum(corr_y)[:, None] * spectrum(corr_x)[None, :])
    white = np.fft.fft2(rng.standard_normal((size, size)))
    tile = np.fft.ifft2(white * amplitude).real
    return np.asarray((tile - tile.mean()) / tile.std(), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Sensor:
    """What is fixed in the camera.

    Attributes
    ----------
    light : (H, W) float32
        Background grey level, uneven light included, fixed pattern not.
    fixed : (H, W) float32
        Fixed pattern, grey levels.
    tile : (TILE, TILE) float32
        Noise of unit variance, taken at a new offset for each frame.
    """

    light: Float32
    fixed: Float32
    tile: Float32


def light_field(look: Look, height_px: int, width_px: int) -> Float32:
    """Background (H, W) float32: level, tilt and vignette."""
    y = np.linspace(-1, 1, height_px, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width_px, dtype=np.float32)[None, :]
    c, s = math.cos(look.tilt_angle), math.sin(look.tilt_angle)
    relative = 1 + 0.5 * look.tilt * (c * x + s * y) - 0.5 * look.vignette * (x * x + y * y - 0.66)
    return np.asarray(look.background * relative, dtype=np.float32)


def make_sensor(
    profile: Profile, look: Look, rng: np.random.Generator, height_px: int, width_px: int
) -> Sensor:
    """Build the camera of one specimen."""
    tile = correlated_tile(rng, profile.noise_x, profile.noise_y)
    other = correlated_tile(rng, profile.noise_x, profile.noise_y)
    rows = np.arange(height_px) % TILE
    columns = np.arange(width_px) % TILE
    fixed = other[rows[:, None], columns[None, :]] * np.float32(look.static_sd)
    return Sensor(light_field(look, height_px, width_px), fixed, tile)


def compress(image: UInt8, quality: int) -> UInt8:
    """Pass a frame (H, W) through JPEG; quality 0 leaves it as it is."""
    if quality <= 0:
        return image
    done, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"compress: a frame of shape {image.shape} cannot be encoded")
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)


@njit(nogil=True, cache=True, fastmath=True)
def _expose_run(
    canvas: Float32,
    light: Float32,
    fixed: Float32,
    noise: Float32,
    sd: float,
    lamp: float,
    out: UInt8,
) -> None:
    """Expose one stretch of a row; all arrays (run,)."""
    grain = np.float32(0.5 * sd)
    level = np.float32(lamp)
    one = np.float32(1.0)
    half = np.float32(0.5)
    darkest = np.float32(0.06)
    top = np.float32(254.9)
    zero = np.float32(0.0)
    for k in range(len(canvas)):
        seen = max(one + canvas[k], darkest)
        # Shot noise grows with the root of the light; linear is close enough here.
        value = light[k] * level * seen + fixed[k] + grain * (one + seen) * noise[k] + half
        out[k] = np.uint8(np.int32(min(max(value, zero), top)))
        canvas[k] = zero


@njit(nogil=True, cache=True)
def expose(
    canvas: Float32,
    light: Float32,
    fixed: Float32,
    tile: Float32,
    shift_y: int,
    shift_x: int,
    noise_sd: float,
    lamp: float,
    out: UInt8,
) -> None:
    """Turn relative contrast into grey levels; the canvas is left at zero for the next frame."""
    height, width = canvas.shape
    size = tile.shape[0]
    for y in range(height):
        noise = tile[(y + shift_y) % size]
        x = 0
        start = shift_x % size
        while x < width:
            run = min(size - start, width - x)
            _expose_run(
                canvas[y, x : x + run],
                light[y, x : x + run],
                fixed[y, x : x + run],
                noise[start : start + run],
                noise_sd,
                lamp,
                out[y, x : x + run],
            )
            x += run
            start = 0
