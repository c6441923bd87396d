"""What the simulated pipette does to the simulated sperm: a tail that it crosses swims no more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.rig.dish import Dish
from drivers.scene_camera import Trajectory
from models.specimen.scene import Specimen
from models.types import Float64

TAIL_UM = (4.0, 40.0)  # behind the middle of the head: where it is met
ACROSS_UM = 1.5  # nearer to the tail's line, the tip is on it
OVER_DISH_UM = 1.0  # higher than this above the dish, the tip crosses nothing
_STEP_S = 0.005
_MEMORY_S = 0.25


class Touch:
    """Stops the sperm whose tails the tip crosses while it is on the dish.

    Parameters
    ----------
    specimens : sequence of Specimen
        Equal ones, of the camera, of the truth...: what happens to one happens to all.
    dish : Dish
    um_to_stage : (2, 2) float64
        From micrometres along the image axes to the stage's axes.
    """

    def __init__(self, specimens: Sequence[Specimen], dish: Dish, um_to_stage: Float64) -> None:
        self._specimens = tuple(specimens)
        self._dish = dish
        self._um_to_stage = um_to_stage
        self._looked_s: float | None = None
        self._stopped: set[int] = set()

    @property
    def stopped(self) -> frozenset[int]:
        """Sperm that were stopped."""
        return frozenset(self._stopped)

    def follow(self, until_s: float, stage_um: Trajectory, tip_um: Trajectory) -> None:
        """Look at the way of the tip since the last look; the specimen's own time."""
        since_s = until_s - _MEMORY_S if self._looked_s is None else self._looked_s
        self._looked_s = until_s
        count = max(1, round((until_s - since_s) / _STEP_S))
        back_s = _STEP_S * np.arange(min(count, round(_MEMORY_S / _STEP_S)))[::-1]
        times_s = np.asarray(until_s - back_s, np.float64)
        tip = tip_um(times_s)
        low = np.abs(tip[:, 2] - self._dish.z_um) <= OVER_DISH_UM
        if not low.any():
            return
        stage = stage_um(times_s)
        for time_s, at_um, pose_um in zip(times_s[low], tip[low], stage[low], strict=True):
            self._cross(float(time_s), pose_um + self._um_to_stage @ at_um[:2], pose_um)

    def _cross(self, time_s: float, at_um: Float64, pose_um: Float64) -> None:
        specimen = self._specimens[0]
        truth = specimen.truth(time_s, pose_um)
        along = truth.axis_px @ self._um_to_stage.T
        from_head_um = at_um - truth.position_um
        behind_um = -(from_head_um * along).sum(axis=1)
        across_um = np.abs(from_head_um[:, 0] * along[:, 1] - from_head_um[:, 1] * along[:, 0])
        met = (behind_um > TAIL_UM[0]) & (behind_um < TAIL_UM[1]) & (across_um < ACROSS_UM)
        for sperm_id in truth.sperm_id[met].tolist():
            if sperm_id not in self._stopped:
                self._stopped.add(sperm_id)
                for each in self._specimens:
                    each.immobilise(sperm_id, time_s)
