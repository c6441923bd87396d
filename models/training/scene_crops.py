"""Training crops cut from frames of specimens that swim: what the camera of the rig sees.

A frame of a scene costs ten times a drawn crop, and its specimen a hundred times; so each
specimen gives several frames, each frame several crops, and a few specimens take turns so that
neighbours in a batch differ.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from torch.utils.data import Dataset

from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.training.crops import Crop, SpecimenCrops, mirrored
from models.training.evaluation import specimen_frame
from models.training.folder_crops import cut
from models.training.labelled_frames import LabelledFrame
from models.types import Float64

SCENES_AT_ONCE = 4
FRAMES = 6
CROPS_PER_FRAME = 4
# Far from the seeds of calibration and examination (80,000 and 90,000).
FIRST_SCENE_SEED = 1_000_000
FRAME_INTERVAL_S = 0.37
# Frames with the micropipette in view: dark edges that are no tails.
PIPETTE_SHARE = 0.3


def _resting(tip_um: Float64 | None) -> Callable[[Float64], Float64] | None:
    if tip_um is None:
        return None
    return lambda times_s: np.tile(tip_um, (len(times_s), 1))


class SceneCrops(Dataset[Crop]):
    """Crops of drawn specimens, ``scene_share`` of them of scenes of profile 'exam'.

    Parameters
    ----------
    drawn : SpecimenCrops
        Where the others come from.
    scene_share : float
    """

    def __init__(self, drawn: SpecimenCrops, scene_share: float) -> None:
        self.drawn = drawn
        self.scene_share = scene_share
        self._frames: OrderedDict[tuple[int, int], LabelledFrame] = OrderedDict()
        self._scenes: OrderedDict[int, Specimen] = OrderedDict()

    def __getitem__(self, index: int) -> Crop:
        """Cut crop number ``index``."""
        rng = np.random.default_rng([self.drawn.seed, 7, index])
        if rng.random() >= self.scene_share:
            return self.drawn[index]
        # Scenes take turns; a scene lasts for all crops of all its frames.
        lasts = SCENES_AT_ONCE * FRAMES * CROPS_PER_FRAME
        number = round(index * self.scene_share)
        scene = number // lasts * SCENES_AT_ONCE + number % SCENES_AT_ONCE
        frame = self._frame(scene, number % lasts // (SCENES_AT_ONCE * CROPS_PER_FRAME))
        height, width = self.drawn.size_px
        y = int(rng.integers(frame.image.shape[0] - height + 1))
        x = int(rng.integers(frame.image.shape[1] - width + 1))
        crop = cut(frame, y, x, height, width)
        return mirrored(crop, bool(rng.random() < 0.5), bool(rng.random() < 0.5))

    def _frame(self, scene: int, number: int) -> LabelledFrame:
        if (scene, number) not in self._frames:
            if scene not in self._scenes:
                rng = np.random.default_rng([self.drawn.seed, 8, scene])
                phase = rng.random() < self.drawn.phase_share
                chosen = profile("exam", modality="phase" if phase else "brightfield")
                seed = FIRST_SCENE_SEED + 100_000 * self.drawn.seed + scene
                self._scenes[scene] = Specimen(chosen, seed)
                while len(self._scenes) > SCENES_AT_ONCE:
                    self._scenes.popitem(last=False)
            rng = np.random.default_rng([self.drawn.seed, 9, scene, number])
            tip_um = None
            if rng.random() < PIPETTE_SHARE:
                tip_um = np.append(rng.uniform(-110, 110, 2), rng.exponential(12.0))
            self._frames[scene, number] = specimen_frame(
                self._scenes[scene], number * FRAME_INTERVAL_S, pipette_um=_resting(tip_um)
            )
            while len(self._frames) > SCENES_AT_ONCE:
                self._frames.popitem(last=False)
        return self._frames[scene, number]
