"""Plots of what was measured and of what is left unexplained, drawn for the eye of a technician."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.figures import GREEN, ORANGE, SKY, VERMILION, caption
from calibration.latency import Latency
from calibration.pipette_affine import PipetteAffine
from calibration.stage_affine import StageAffine

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX = 640, 480
INK = (30, 30, 30)
FAINT = (205, 205, 205)
_MARGIN_PX = 48
_STAR_TIMES = 100  # residuals are drawn larger than the places at which they stand
_TIPS_TIMES = 25


def picture_of_star(result: StageAffine) -> UInt8:
    """Draw where the stage went and, magnified, by how much the picture disagreed.

    Returns
    -------
    (H, W, 3) uint8
        Red, green, blue. Left out moves are in another colour.
    """
    at = result.place_um - result.place_um.mean(axis=0)
    canvas, to_px = _map(at)
    for place, off, used in zip(at, result.off_um, result.used, strict=True):
        _residual(canvas, to_px(place), to_px(place + _STAR_TIMES * off), used=bool(used))
    turned_deg = round(result.rotation_deg, 2) + 0.0
    mirrored = ", mirrored" if result.mirrored else ""
    backlash = ", ".join(f"{um:.2f}" for um in result.backlash_um)
    return caption(
        canvas,
        f"{int(result.used.sum())} of {len(result.used)} moves, residual "
        f"{result.residual_um:.3f} um rms (drawn {_STAR_TIMES} times)",
        f"{result.um_per_px:.5f} um per pixel, turned {turned_deg:.2f} deg{mirrored}, "
        f"backlash {backlash} um",
    )


def picture_of_tips(result: PipetteAffine) -> UInt8:
    """Draw where the tip was expected and, magnified, where it was seen; (H, W, 3)."""
    at = result.told_um - result.told_um.mean(axis=0)
    canvas, to_px = _map(at)
    for place, off, used in zip(at, result.seen_um - result.told_um, result.used, strict=True):
        _residual(canvas, to_px(place), to_px(place + _TIPS_TIMES * off), used=bool(used))
    height = result.focus_z_um
    focus = (
        f"in focus at z {height:.1f} um, sd {result.focus_sd_um:.1f}"
        if np.isfinite(height)
        else "height of focus not found"
    )
    return caption(
        canvas,
        f"{int(result.used.sum())} of {len(result.used)} pictures, residual "
        f"{result.residual_um:.3f} um rms (drawn {_TIPS_TIMES} times)",
        f"shaft from {result.direction_deg:.1f} deg, {focus}",
    )


def picture_of_chirp(result: Latency) -> UInt8:
    """Draw the speed commanded, later by the delay found, and the speed seen; (H, W, 3)."""
    canvas = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    time_s, told, seen = result.trace.T
    top = 1.15 * float(np.quantile(np.abs(told), 0.99)) if len(told) else 1.0
    begin, end = (float(time_s.min()), float(time_s.max())) if len(time_s) else (0.0, 1.0)

    def to_px(t: Float64, speed: Float64) -> Int64:
        x = _MARGIN_PX + (t - begin) / max(end - begin, 1e-9) * (WIDTH_PX - 1.5 * _MARGIN_PX)
        share = np.clip(speed / max(top, 1e-9), -0.05, 1.0)
        y = HEIGHT_PX - _MARGIN_PX - share * (HEIGHT_PX - 2 * _MARGIN_PX)
        return np.round(np.stack([x, y], axis=-1)).astype(np.int64)

    for speed in np.arange(0.0, top, _round_step(top)):
        (x0, y), (x1, _) = to_px(np.array((begin, end)), np.array((speed, speed))).tolist()
        cv2.line(canvas, (x0, y), (x1, y), FAINT, 1)
        _text(canvas, f"{speed:g}", (6, y + 5))
    for second in range(int(np.ceil(end - begin))):
        (x, y) = to_px(np.array(begin + second), np.array(0.0)).tolist()
        _text(canvas, f"{second} s", (x - 8, y + 22))
    cv2.polylines(canvas, [to_px(time_s, told).astype(np.int32)], False, ORANGE, 2, cv2.LINE_AA)
    for x, y in to_px(time_s, seen).tolist():
        cv2.circle(canvas, (x, y), 2, SKY, -1, cv2.LINE_AA)
    _text(canvas, "um/s: commanded (line, later by the delay), seen (dots)", (_MARGIN_PX, 24))
    return caption(
        canvas,
        f"sum {1e3 * result.sum_s:.1f} ms, sd {1e3 * result.sum_sd_s:.1f} ms: command to motion "
        f"{1e3 * result.command_to_motion_s:.1f} ms,",
        f"exposure to host {1e3 * result.exposure_to_host_s:.1f} ms, sd of the split "
        f"{1e3 * result.split_sd_s:.1f} ms; picture off by {result.residual_um:.2f} um rms",
    )


class _Map:
    """Micrometres about the middle (…, 2) to pixels of a plot."""

    def __init__(self, reach_um: float) -> None:
        self._scale = (HEIGHT_PX / 2 - _MARGIN_PX) / max(reach_um, 1e-9)

    def __call__(self, at_um: Float64) -> tuple[int, int]:
        x, y = np.round(self._scale * at_um + (WIDTH_PX / 2, HEIGHT_PX / 2)).astype(int).tolist()
        return x, y

    def length_px(self, um: float) -> int:
        return round(self._scale * um)


def _map(at_um: Float64) -> tuple[UInt8, _Map]:
    """Give an empty plot with a bar of a round length, and its scale."""
    reach_um = float(np.abs(at_um).max()) if len(at_um) else 1.0
    to_px = _Map(reach_um)
    canvas = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    bar_um = _round_step(reach_um)
    y = HEIGHT_PX - 20
    cv2.line(canvas, (16, y), (16 + to_px.length_px(bar_um), y), INK, 2)
    _text(canvas, f"{bar_um:g} um", (16, y - 8))
    return canvas, to_px


def _residual(
    canvas: UInt8, place_px: tuple[int, int], off_px: tuple[int, int], *, used: bool
) -> None:
    hue = GREEN if used else VERMILION
    cv2.circle(canvas, place_px, 4, FAINT, -1, cv2.LINE_AA)
    cv2.line(canvas, place_px, off_px, hue, 1, cv2.LINE_AA)
    cv2.circle(canvas, off_px, 2, hue, -1, cv2.LINE_AA)


def _round_step(most: float) -> float:
    """Give 1, 2 or 5 times a power of ten, a third to a fifth of ``most``."""
    power = 10.0 ** np.floor(np.log10(max(most, 1e-9) / 3))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most / 3 + 1e-12))


def _text(canvas: UInt8, text: str, at: tuple[int, int]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
