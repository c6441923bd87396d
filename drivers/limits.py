"""Soft limits: how far and how fast an instrument may go. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.errors import LimitError

_START_TOLERANCE_UM = 1.0


@dataclass(frozen=True, slots=True)
class SoftLimits:
    """A box that is never left on command.

    Attributes
    ----------
    low_um, high_um : tuple of float
        One value per axis: two for a stage (stage frame), three for a manipulator (pipette
        frame).
    max_speed_um_s : float
        Fastest velocity streamed; faster ones are slowed down, their direction kept.
    """

    low_um: tuple[float, ...]
    high_um: tuple[float, ...]
    max_speed_um_s: float = 2_000.0

    def __post_init__(self) -> None:
        ordered = all(
            math.isfinite(low) and math.isfinite(high) and low < high
            for low, high in zip(self.low_um, self.high_um, strict=True)
        )
        if not ordered or not 0 < self.max_speed_um_s < math.inf:
            raise LimitError(
                "soft limits",
                f"{self.low_um} .. {self.high_um} um at {self.max_speed_um_s} um/s are no range",
                "each low must be below its high, and the speed positive",
            )

    def window(
        self, device: str, about_um: Sequence[float], half_um: float, max_speed_um_s: float
    ) -> SoftLimits:
        """Give the part of the box within ``half_um`` of a point, slower where that is less.

        Raises LimitError for a point outside, or a window that is none.
        """
        self._check_inside(device, "the present position", about_um, 0.0)
        if not (0 < half_um < math.inf and 0 < max_speed_um_s < math.inf):
            raise LimitError(
                device,
                f"{half_um} um at {max_speed_um_s} um/s are no window",
                "nothing was confined",
            )
        return SoftLimits(
            tuple([max(low, um - half_um) for low, um in zip(self.low_um, about_um, strict=True)]),
            tuple(
                [min(high, um + half_um) for high, um in zip(self.high_um, about_um, strict=True)]
            ),
            min(self.max_speed_um_s, max_speed_um_s),
        )

    def check_target(
        self, device: str, target_um: Sequence[float], start_um: Sequence[float]
    ) -> None:
        """Raise LimitError unless start and target, and so everything between, are inside."""
        self._check_inside(device, "the present position", start_um, _START_TOLERANCE_UM)
        self._check_inside(device, "the target", target_um, 0.0)

    def clamped(self, device: str, velocity_um_s: Sequence[float]) -> tuple[float, ...]:
        """Slow a velocity down to the speed limit. Raises LimitError for one that is no number."""
        speed = math.hypot(*velocity_um_s)
        if not math.isfinite(speed):
            raise LimitError(device, f"velocity {tuple(velocity_um_s)} is no number")
        scale = min(1.0, self.max_speed_um_s / speed) if speed > 0 else 1.0
        return tuple([v * scale for v in velocity_um_s])

    def check_velocity(
        self,
        device: str,
        velocity_um_s: Sequence[float],
        position_um: Sequence[float],
        *,
        reach_s: float,
        acceleration_um_s2: float,
    ) -> None:
        """Raise LimitError if the velocity could carry beyond a limit before it can be stopped.

        The way to a standstill is ``v * reach_s + v^2 / (2 a)``: ``reach_s`` is as long as the
        velocity may live without being renewed, plus the delay of a stop. A velocity that leads
        back inside is always allowed.
        """
        for axis, v, at_um, low_um, high_um in zip(
            _names(len(self.low_um)), velocity_um_s, position_um, self.low_um, self.high_um,
            strict=True,
        ):  # fmt: skip
            if not math.isfinite(at_um):
                raise LimitError(device, f"position of axis {axis} is unknown", "read it first")
            way_um = v * reach_s + math.copysign(v * v / (2 * acceleration_um_s2), v)
            limit_um = high_um if v > 0 else low_um
            if (v > 0 and at_um + way_um > high_um) or (v < 0 and at_um + way_um < low_um):
                raise LimitError(
                    device,
                    f"{v:.0f} um/s on axis {axis} at {at_um:.1f} um cannot be stopped before the"
                    f" soft limit of {limit_um:.1f} um",
                    "choose a target further inside",
                )

    def _check_inside(
        self, device: str, what: str, position_um: Sequence[float], tolerance_um: float
    ) -> None:
        if len(position_um) != len(self.low_um):
            raise LimitError(
                device, f"{what} has {len(position_um)} axes, the limits {len(self.low_um)}"
            )
        for axis, um, low_um, high_um in zip(
            _names(len(self.low_um)), position_um, self.low_um, self.high_um, strict=True
        ):
            if not low_um - tolerance_um <= um <= high_um + tolerance_um:
                raise LimitError(
                    device,
                    f"{what} {um:.1f} um on axis {axis} is outside the soft limits"
                    f" {low_um:.1f} .. {high_um:.1f} um",
                    "nothing was sent",
                )


def _names(count: int) -> str:
    return "xyz"[:count]
