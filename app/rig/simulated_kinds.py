"""What is where in the simulated rig's picture: sperm, debris, or the pipette's glass."""

from __future__ import annotations

import numpy as np

from app.runtime.census import Kind
from drivers.emulators.shared_pose import PoseReader
from drivers.scene_camera import Trajectory
from models.specimen.scene import Specimen
from models.tracking.proximity import nearest_um
from models.types import Float64, Int8

REACH_UM = 5.0
"""A head's length: a track this near to a sperm or to debris is on it."""


class SimulatedKinds:
    """Implements Kinds for a specimen.

    Parameters
    ----------
    specimen : Specimen
        One of its own, equal to the camera's: two threads never share one.
    epoch_s : float
        Host time at which the specimen began to live.
    stage : PoseReader
        Of the stage's true path.
    tip : Trajectory or None
        Of the pipette's tip, um from the picture's centre, as the camera sees it.
    """

    def __init__(
        self, specimen: Specimen, epoch_s: float, stage: PoseReader, tip: Trajectory | None
    ) -> None:
        self._specimen = specimen
        self._epoch_s = epoch_s
        self._stage = stage
        self._tip = tip
        # Compiled before the loop runs: a compiler holds up every thread.
        nearest_um(np.zeros((1, 2)), np.zeros((1, 2)))

    def at(self, position_um: Float64, time_s: float) -> Int8:
        """Return the Kind (n,) at stage-frame points (n, 2)."""
        times_s = np.array([time_s])
        stage_um = self._stage.at(times_s)[0, :2]
        kinds = np.full(len(position_um), Kind.NOTHING, np.int8)
        if self._tip is not None:
            tip_um = self._tip(times_s)[0]
            kinds[self._specimen.on_glass(position_um, stage_um, tip_um)] = Kind.GLASS
        local_s = time_s - self._epoch_s
        debris_um = self._specimen.debris_um(local_s, stage_um)
        kinds[nearest_um(position_um, debris_um) <= REACH_UM] = Kind.DEBRIS
        sperm_um = self._specimen.truth(local_s, stage_um).position_um
        kinds[nearest_um(position_um, sperm_um) <= REACH_UM] = Kind.SPERM
        return kinds

    def close(self) -> None:
        """Detach from the stage's path."""
        self._stage.close()
