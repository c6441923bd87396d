"""The closed loop through a map that is too large or too small: an objective nobody told of."""

from __future__ import annotations

import numpy as np

from app.core.interlocks import Health
from app.core.messages import Arm, Follow, Mode
from app.core.pipeline import Pipeline
from calibration.transform import ImageToStage
from models.tracking.tracker import Tracker
from models.types import Tracks
from tests.core.virtual_loop import HEIGHT_PX, UM_PER_PX, WIDTH_PX, NoMeasurer, VirtualLoop


class MisledLoop(VirtualLoop):
    """The loop through a map that is ``factor`` times too large."""

    factor = 1.0

    def mislead(self, factor: float) -> None:
        self.factor = factor
        affine = ImageToStage.nominal(factor * UM_PER_PX, WIDTH_PX, HEIGHT_PX)
        self.pipeline = Pipeline(affine, WIDTH_PX, HEIGHT_PX, Tracker(), NoMeasurer())

    def run_until_held(self, seconds: float) -> float | None:
        """Follow for so long at most; seconds from the choice to HOLD, None where it never came."""
        for _ in range(round(30 * seconds)):
            self.step()
            if self.pilot.state.mode is Mode.HOLD and self.chosen_s is not None:
                return self.tracks.time_s - self.chosen_s
        return None

    def _choose(self, tracks: Tracks, now_s: float) -> None:
        if self.chosen_s is not None or self._frame < 15 or not tracks.track_id.size:
            return
        pose_um = self.pose_um(tracks.time_s)
        believed_um = pose_um + self.factor * (self.target.position_um - pose_um)
        nearest = int(np.linalg.norm(tracks.position_um - believed_um, axis=1).argmin())
        health = Health(0.0, 0.15, 0.0)
        refusal = self.pilot.obey(Arm("20x"), now_s, health, "") or self.pilot.obey(
            Follow(int(tracks.track_id[nearest])), now_s, health, ""
        )
        if refusal == "":
            self.chosen_s = now_s


def misled(factor: float, seed: int) -> MisledLoop:
    """Return a loop with 25 other sperm about, the target near the middle."""
    loop = MisledLoop(seed=seed, start_um=(10.0, -10.0), others=25)
    loop.mislead(factor)
    return loop
