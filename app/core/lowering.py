"""One descent: micro-moves, each aimed anew, ended by contact in the picture. Pure."""

from __future__ import annotations

import math

import numpy as np

from app.config import InjectionConfig
from app.core.contact import ContactWatch, TipSight
from app.core.injection_values import Go, Heights, PipetteMap
from app.core.legs import Place
from models.types import Float64

MICRO_S = 0.080  # longest move downwards: with its end, released is stopped within 100 ms
HELD_S = 0.100  # a control that is not renewed for so long has been let go
FAR_UM = 12.0  # from where it is expected: what is seen there is not the tip
SURE_UM = 6.0  # above the dish: from here on no step without the tip seen where it should be
SIGHT_S = 0.6  # how long to wait for a picture of the tip before a descent is paused


class Lowering:
    """Knows how far down the next micro-move may go, and whether it may be made at all.

    Far above the dish the steps are large and blind. Within ``near_um`` they are small; within
    ``sight_um`` each waits for a picture of the tip, taken after the step before: what the picture
    says is added to what the calibration expects, and tells contact.

    Parameters
    ----------
    settings : InjectionConfig
    heights : Heights
    pipette : PipetteMap
    """

    def __init__(self, settings: InjectionConfig, heights: Heights, pipette: PipetteMap) -> None:
        self._settings = settings
        self._heights = heights
        self._map = pipette
        self._contact = ContactWatch()
        self._held_s = -math.inf
        self._rested_s = self._looked_s = -math.inf

    @property
    def slid_um(self) -> float:
        """How far the tip has slid by the newest picture."""
        return self._contact.slid_um

    def press(self, now_s: float, *, begin: bool, anew: bool) -> None:
        """Note a held control: ``begin`` where it was not before, ``anew`` for another place."""
        self._held_s = now_s
        if begin:
            self._rested_s = now_s
        if anew:
            self._contact.restart()

    def let_go(self) -> None:
        """Note that the control is not held any more."""
        self._held_s = -math.inf

    def is_held(self, now_s: float) -> bool:
        """Whether the control was held a moment ago."""
        return now_s - self._held_s <= HELD_S

    def rests(self, time_s: float) -> None:
        """Note when the pipette was read at rest: only pictures taken later count."""
        self._rested_s = time_s

    def sees_contact(self, tip: TipSight | None, here: Place) -> bool:
        """Take in where the tip is seen, at rest, and say whether it has met the dish.

        One picture for each step: more of them would pass for steps on which it has not moved.
        Only a suspicion is looked at twice.
        """
        if not self._is_seen(tip, here) or tip is None:
            return False
        if self._looked_s == self._rested_s and not self._contact.suspects:
            return False
        self._looked_s = self._rested_s
        return self._contact.observe(tip, self._map.view_um(np.array(here)))

    def refusal(self, here: Place, tip: TipSight | None, now_s: float) -> str | None:
        """Say why it may not go down: empty to wait for a picture, None where it may."""
        height_um = self._heights.above_dish_um(here[2])
        if height_um - self._step_um(height_um) < -self._settings.depth_um:
            return "no contact where the dish was taught to be"
        taken = tip is not None and tip.time_s >= self._rested_s
        seen = taken and (height_um > SURE_UM or self._is_seen(tip, here))
        if height_um > self._settings.sight_um or (seen and not self._contact.suspects):
            return None
        return "the tip is not seen" if now_s - self._rested_s > SIGHT_S else ""

    def _is_seen(self, tip: TipSight | None, here: Place) -> bool:
        """Whether a picture taken since it rests shows the tip, and about where it should be."""
        if tip is None or tip.time_s < self._rested_s:
            return False
        off_um = tip.view_um - self._map.view_um(np.array(here))
        return float(np.linalg.norm(off_um)) <= FAR_UM

    def beside(self, here: Place, view_um: Float64) -> Place:
        """Give the place at this height where the tip is seen at a point (2,) of the view."""
        bias_um = self._contact.bias_um
        seen_um = view_um if bias_um is None else view_um - bias_um
        x_um, y_um, _ = self._map.pose_um(seen_um, here[2])
        return float(x_um), float(y_um), here[2]

    def relieved(self, here: Place, view_um: Float64 | None) -> Place:
        """Give the place at which the tip that has met the dish only just touches it.

        The last two steps bent it; where the target is known, it is aimed anew as well.
        """
        z_um = here[2] + self._heights.up * 2 * self._settings.step_um
        reach_um = self._settings.slow_um_s * MICRO_S
        aimed = here if view_um is None else self.beside((here[0], here[1], z_um), view_um)
        x_um, y_um = (_within(here[k], aimed[k], reach_um) for k in (0, 1))
        return x_um, y_um, z_um

    def next_move(self, here: Place, view_um: Float64) -> Go:
        """One step down, towards a point (2,) of the view."""
        height_um = self._heights.above_dish_um(here[2])
        speed_um_s = self._speed_um_s(height_um)
        reach_um = speed_um_s * MICRO_S
        z_um = here[2] - self._heights.up * self._step_um(height_um)
        wanted = self.beside((here[0], here[1], z_um), view_um)
        x_um, y_um = (_within(here[k], wanted[k], reach_um) for k in (0, 1))
        return Go((x_um, y_um, z_um), speed_um_s, down=True)

    def _speed_um_s(self, height_um: float) -> float:
        near = height_um <= self._settings.near_um
        return self._settings.slow_um_s if near else self._settings.fast_um_s

    def _step_um(self, height_um: float) -> float:
        reach_um = self._speed_um_s(height_um) * MICRO_S
        if height_um <= self._settings.near_um:
            return min(self._settings.step_um, reach_um)
        return min(reach_um, height_um - self._settings.near_um + 0.1)


def _within(from_um: float, to_um: float, reach_um: float) -> float:
    return from_um + min(max(to_um - from_um, -reach_um), reach_um)
