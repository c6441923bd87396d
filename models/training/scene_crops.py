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
# Frames with the micropipette in view: dark edges that are no tails. Its tip, which looks most
# like a head, is small: the share of crops of such a frame that hold it would be a seventh.
PIPETTE_SHARE = 0.35
TIP_SHARE = 0.5
# Frames while the stage follows a sperm: at rest, only what swims is combed by the two fields of
# an interlaced frame; on a moving stage debris is, and was taken for sperm (11 tracks a frame).
MOVING_SHARE = 0.5
STAGE_UM_S = (5.0, 130.0)


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
        self._frames: OrderedDict[tuple[int, int], tuple[LabelledFrame, Float64 | None]] = (
            OrderedDict()
        )
        self._scenes: OrderedDict[int, Specimen] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        # For a loader's process: it draws its own scenes, and running specimens cannot be sent.
        return {**self.__dict__, "_frames": OrderedDict(), "_scenes": OrderedDict()}

    def __getitem__(self, index: int) -> Crop:
        """Cut crop number ``index``."""
        rng = np.random.default_rng([self.drawn.seed, 7, index])
        if rng.random() >= self.scene_share:
            return self.drawn[index]
        # Scenes take turns; a scene lasts for all crops of all its frames.
        lasts = SCENES_AT_ONCE * FRAMES * CROPS_PER_FRAME
        number = round(index * self.scene_share)
        scene = number // lasts * SCENES_AT_ONCE + number % SCENES_AT_ONCE
        frame, tip_px = self._frame(scene, number % lasts // (SCENES_AT_ONCE * CROPS_PER_FRAME))
        height, width = self.drawn.size_px
        room = frame.image.shape[1] - width, frame.image.shape[0] - height
        x, y = int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
        if tip_px is not None and rng.random() < TIP_SHARE:
            corner = tip_px - rng.uniform(0.15, 0.85, 2) * (width, height)
            x, y = (int(v) for v in np.clip(corner, 0, room))
        crop = cut(frame, y, x, height, width)
        return mirrored(crop, bool(rng.random() < 0.5), bool(rng.random() < 0.5))

    def _frame(self, scene: int, number: int) -> tuple[LabelledFrame, Float64 | None]:
        """Return a frame and where, (x, y) px, the tip of its micropipette is, if it has one."""
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
            specimen, tip_um, tip_px = self._scenes[scene], None, None
            if rng.random() < PIPETTE_SHARE:
                # Half of them in focus, as for an injection; the others on their way down.
                height_um = rng.uniform(0, 3) if rng.random() < 0.5 else rng.exponential(15.0)
                tip_um = np.append(rng.uniform(-110, 110, 2), height_um)
                centre_px = 0.5 * np.array([specimen.width_px - 1, specimen.height_px - 1])
                tip_px = centre_px + tip_um[:2] / specimen.profile.um_per_px[0]
            velocity = 0.0, 0.0
            if rng.random() < MOVING_SHARE:
                speed, way = rng.uniform(*STAGE_UM_S), rng.uniform(0.0, 2.0 * np.pi)
                velocity = float(speed * np.cos(way)), float(speed * np.sin(way))
            frame = specimen_frame(
                specimen,
                number * FRAME_INTERVAL_S,
                pipette_um=_resting(tip_um),
                stage_um_s=velocity,
            )
            self._frames[scene, number] = frame, tip_px
            while len(self._frames) > SCENES_AT_ONCE:
                self._frames.popitem(last=False)
        return self._frames[scene, number]
