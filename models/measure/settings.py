"""Conventions of the motility measures, with their units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MotilitySettings:
    """Conventions that change the numbers; the defaults follow the WHO manual where it speaks.

    Attributes
    ----------
    average_s : float
        Length of the moving average that makes the average path: 5 points at 30 frames a second,
        9 at 50, 11 at 60.
    minimum_s : float
        A path shorter than this is not measured.
    gap_frames : int
        So many frames without a measurement are bridged by a straight line; a longer gap splits
        the path.
    minimum_step_um : float
        Steps shorter than this have no direction, and do not count in MAD.
    localisation_um : float
        Standard deviation of a head's position, per axis: a VCL that it alone explains
        (sqrt(pi) x localisation x frame rate) leaves LIN, WOB and STR unknown.
    still_um : float
        An average path that stays within this of its own centre is a cell that does not swim.
    """

    average_s: float = 1.0 / 6.0
    minimum_s: float = 0.5
    gap_frames: int = 3
    minimum_step_um: float = 0.15
    localisation_um: float = 0.15
    still_um: float = 1.0

    def __post_init__(self) -> None:
        for name in ("average_s", "minimum_s"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"MotilitySettings.{name}: {getattr(self, name)}, not above 0")
        for name in ("gap_frames", "minimum_step_um", "localisation_um", "still_um"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"MotilitySettings.{name}: {getattr(self, name)}, below 0")
