"""Heads and tails, of normal sperm and of each abnormal kind.

A normal sperm lies inside the wet limits of the profile, so that truth and criteria agree; an
abnormal one breaks them by its head, by its tail, or by both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from models.specimen.profiles import WetLimits
from models.specimen.waveform import TAIL_LENGTHS_UM, WAVE_RATIOS
from models.types import SpermClass

Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]


class HeadKind(IntEnum):
    """What is wrong with a head."""

    NORMAL = 0
    TAPERED = 1
    ROUND = 2
    SMALL = 3
    LARGE = 4
    AMORPHOUS = 5


class TailKind(IntEnum):
    """What is wrong with a tail."""

    NORMAL = 0
    SHORT = 1
    COILED = 2
    ABSENT = 3
    DOUBLE = 4
    BENT = 5


_HEAD_SHARE = np.array([0.30, 0.22, 0.14, 0.08, 0.12, 0.14])  # of abnormal sperm
_TAIL_SHARE = np.array([0.52, 0.14, 0.10, 0.08, 0.05, 0.11])


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Bodies of n sperm; lengths in um.

    Attributes
    ----------
    head : (n, 6) float64
        Half length, half width, egg, lobe2, lobe3, shading (models.specimen.splat).
    tail_length_um, midpiece_um : (n,) float64
        Tail from the head's edge to the tip, midpiece included; length of the midpiece.
    bend_rad : (n,) float64
        Bend of the neck: the angle between the head's axis and the midpiece.
    coil_per_um : (n,) float64
        Extra curvature of a coiled tail.
    wave : (n,) int64
        Row of the waveform grid (tail length x wavelength).
    wavelength_um : (n,) float64
    head_kind, tail_kind : (n,) int8
    label : (n,) int8
        SpermClass.
    brightness : (n,) float64
        Contrast of the head relative to the profile's.
    tail_brightness : (n,) float64
    z_um : (n,) float64
        Depth of the head above the focal plane.
    z_slope : (n,) float64
        Depth gained along the tail, um per um.
    line_owner : (lines,) int64
        Sperm of each tail line; a double tail owns two.
    line_offset_rad, line_lag_rad : (lines,) float64
        Angle at the neck and phase lag of each line.
    """

    head: Float64
    tail_length_um: Float64
    midpiece_um: Float64
    bend_rad: Float64
    coil_per_um: Float64
    wave: Int64
    wavelength_um: Float64
    head_kind: Int8
    tail_kind: Int8
    label: Int8
    brightness: Float64
    tail_brightness: Float64
    z_um: Float64
    z_slope: Float64
    line_owner: Int64
    line_offset_rad: Float64
    line_lag_rad: Float64

    def __len__(self) -> int:
        return len(self.label)

    def take(self, chosen: Int64) -> Anatomy:
        """Keep the sperm ``chosen`` (m,), with their tail lines."""
        place = np.full(len(self), -1)
        place[chosen] = np.arange(len(chosen))
        lines = np.flatnonzero(place[self.line_owner] >= 0)
        columns = {
            column.name: getattr(self, column.name)[
                lines if column.name.startswith("line_") else chosen
            ]
            for column in fields(self)
        }
        columns["line_owner"] = place[columns["line_owner"]]
        return Anatomy(**columns)


def _within(
    rng: np.random.Generator, mean: float, sd: float, limits: tuple[float, float], n: int
) -> Float64:
    """Draw normal numbers cut to the open interval of ``limits``."""
    low, high = limits
    margin = 0.02 * (high - low)
    return np.clip(rng.normal(mean, sd, n), low + margin, high - margin)


def draw_anatomy(
    rng: np.random.Generator,
    n: int,
    *,
    abnormal_fraction: float,
    wet: WetLimits,
    head_spread: float,
    tail_spread: float,
    depth_sd_um: float,
) -> Anatomy:
    """Draw the bodies of ``n`` sperm."""
    abnormal = rng.random(n) < abnormal_fraction
    head_kind = np.where(abnormal, rng.choice(6, n, p=_HEAD_SHARE), 0)
    tail_kind = np.where(abnormal, rng.choice(6, n, p=_TAIL_SHARE), 0)
    spared = abnormal & (head_kind == 0) & (tail_kind == 0)
    head_kind = np.where(spared, rng.integers(1, 6, n), head_kind)

    length = _within(rng, 5.0, 0.32, wet.head_length_um, n)
    low, high = wet.head_ellipticity
    # An egg is up to 2.5% wider than its half width says.
    width = np.clip(
        _within(rng, 3.15, 0.20, wet.head_width_um, n),
        np.maximum(length / (0.97 * high), 1.02 * wet.head_width_um[0]),
        np.minimum(length / (1.04 * low), 0.96 * wet.head_width_um[1]),
    )
    ratio = rng.random(n)
    for kind, (l0, l1), (e0, e1) in (
        (HeadKind.TAPERED, (5.4, 7.6), (2.05, 2.9)),
        (HeadKind.ROUND, (3.6, 4.8), (1.0, 1.18)),
        (HeadKind.SMALL, (2.6, 3.5), (1.1, 1.6)),
        (HeadKind.LARGE, (6.1, 7.6), (1.3, 1.8)),
        (HeadKind.AMORPHOUS, (4.0, 6.2), (1.1, 1.7)),
    ):
        which = head_kind == kind
        length = np.where(which, l0 + (l1 - l0) * rng.random(n), length)
        width = np.where(which, length / (e0 + (e1 - e0) * ratio), width)
    amorphous = head_kind == HeadKind.AMORPHOUS
    head = np.stack(
        [
            length / 2,
            width / 2,
            rng.uniform(-0.05, 0.22, n) + np.where(head_kind == HeadKind.TAPERED, 0.12, 0.0),
            np.where(amorphous, rng.uniform(-0.28, 0.28, n), 0.0),
            np.where(amorphous, rng.choice([-1.0, 1.0], n) * rng.uniform(0.10, 0.24, n), 0.0),
            rng.normal(-0.10, 0.14, n).clip(-0.45, 0.35),
        ],
        axis=1,
    )

    tail = _within(rng, 45.0, 5.0, wet.tail_length_um, n)
    tail = np.where(tail_kind == TailKind.SHORT, rng.uniform(8, 28, n), tail)
    tail = np.where(tail_kind == TailKind.COILED, rng.uniform(18, 34, n), tail)
    tail = np.where(tail_kind == TailKind.ABSENT, 0.0, tail)
    bend = np.where(
        tail_kind == TailKind.BENT,
        rng.choice([-1.0, 1.0], n) * np.radians(rng.uniform(50, 130, n)),
        np.radians(rng.normal(0, 8, n).clip(-30, 30)),
    )
    coil = np.where(
        tail_kind == TailKind.COILED,
        rng.choice([-1.0, 1.0], n) / rng.uniform(1.8, 4.0, n),
        0.0,
    )
    ratio_row = rng.integers(1, len(WAVE_RATIOS), n)
    length_row = np.abs(tail[:, None] - TAIL_LENGTHS_UM[None, :]).argmin(axis=1)
    double = np.flatnonzero(tail_kind == TailKind.DOUBLE)
    z = rng.normal(0.0, depth_sd_um, n).clip(-9.5, 9.5)
    return Anatomy(
        head=head,
        tail_length_um=tail,
        midpiece_um=rng.uniform(4.0, 5.0, n),
        bend_rad=bend,
        coil_per_um=coil,
        wave=length_row * len(WAVE_RATIOS) + ratio_row,
        wavelength_um=WAVE_RATIOS[ratio_row] * np.maximum(tail, 20.0),
        head_kind=head_kind.astype(np.int8),
        tail_kind=tail_kind.astype(np.int8),
        label=np.where(abnormal, SpermClass.ABNORMAL, SpermClass.NORMAL).astype(np.int8),
        brightness=np.exp(rng.normal(0.0, head_spread, n)).clip(0.45, 1.35),
        tail_brightness=np.exp(rng.normal(0.0, tail_spread, n)).clip(0.2, 3.0),
        z_um=z,
        z_slope=rng.normal(0.0, 0.06, n).clip(-0.2, 0.2),
        line_owner=np.concatenate([np.arange(n), double]).astype(np.int64),
        line_offset_rad=np.concatenate([np.zeros(n), rng.uniform(0.35, 0.9, len(double))]),
        line_lag_rad=np.concatenate([np.zeros(n), rng.uniform(0.5, 2.5, len(double))]),
    )
