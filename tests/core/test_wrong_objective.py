"""An objective that was changed without a word is noticed while following; the right one never."""

from __future__ import annotations

import numpy as np
import pytest
from virtual_loop import HEIGHT_PX, UM_PER_PX, WIDTH_PX, NoMeasurer, VirtualLoop

from app.core.interlocks import Health
from app.core.messages import Arm, Follow, Mode
from app.core.pipeline import Pipeline
from calibration.transform import ImageToStage
from models.tracking.tracker import Tracker
from models.types import Tracks


class MisledLoop(VirtualLoop):
    """The loop through a map that is ``factor`` times too large."""

    factor = 1.0

    def mislead(self, factor: float) -> None:
        self.factor = factor
        affine = ImageToStage.nominal(factor * UM_PER_PX, WIDTH_PX, HEIGHT_PX)
        self.pipeline = Pipeline(affine, WIDTH_PX, HEIGHT_PX, Tracker(), NoMeasurer())

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
    loop = MisledLoop(seed=seed, start_um=(10.0, -10.0), others=25)
    loop.mislead(factor)
    return loop


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_changed_objective_leads_to_hold_within_three_seconds(factor: float) -> None:
    named = 0
    for seed in range(3):
        loop = misled(factor, seed)
        for _ in range(30 * 6):
            loop.step()
            if loop.pilot.state.mode is Mode.HOLD:
                break
        assert loop.chosen_s is not None
        assert loop.pilot.state.mode is Mode.HOLD
        assert loop.tracks.time_s <= loop.chosen_s + 3.0
        named += "objective" in loop.pilot.state.reason
    assert named >= 2  # now and then the target is lost before there is evidence


@pytest.mark.parametrize("seed", range(2))
def test_the_right_one_is_never_suspected(seed: int) -> None:
    loop = misled(1.0, seed)
    loop.run(8.0)
    assert loop.chosen_s is not None
    assert "objective" not in loop.pilot.state.reason
