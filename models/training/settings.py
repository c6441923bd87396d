"""Settings of a training, and the presets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from models.errors import ModelError
from models.sfcnet.losses import LossSettings
from models.sfcnet.network import TASKS
from models.training.augmentation import AUGMENTATIONS
from models.training.folder_crops import MIRROR

_CHOICES = {
    "task": TASKS,
    "augmentation": (MIRROR, *AUGMENTATIONS),
    "optimiser": ("adamw", "sgd"),
    "schedule": ("cosine", "steps"),
    "losses": ("full", "paper", "whole sperm"),
    "only": ("segmentation", "detection"),
}
_SAID = {"task": "training task", "only": "training only", "losses": "losses"}
_RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (("steps", "batch", "check_every", "detect_every", "epochs"), lambda v: v >= 1, "1 or more"),
    (("crop_px",), lambda v: v >= 32 and v % 32 == 0, "a multiple of 32"),
    (("workers", "check_frames", "seed", "warm_up"), lambda v: v >= 0, "0 or more"),
    (("minutes",), lambda v: 0 < v < math.inf, "above 0"),
    (("peak_rate", "last_rate", "weight_decay"), lambda v: 0 <= v < math.inf, "0 or more"),
    (("decay", "held_out"), lambda v: 0 <= v < 1, "from 0 to below 1"),
    (("exam_share", "phase_share", "scene_share", "recorded_share", "rehearsal"),
     lambda v: 0 <= v <= 1, "from 0 to 1"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train. Progress ends with ``steps`` or ``minutes``, whichever is first.

    The detection learns sooner than the segmentation and costs two fifths of a joint step: it
    takes part in one of ``detect_every`` steps.

    Raises ModelError, in one line, for a value that no training could have.

    Attributes
    ----------
    preset : str
        The preset that the settings were made from; it changes nothing by itself.
    crop_px : int
        Side of a crop; a multiple of 32.
    epochs : int, optional
        On labelled folders: as many steps as this many passes over the frames take.
    augmentation : {'mirror', 'paper', 'short side'}
        Of labelled folders; see ``models.training.augmentation``. Specimens vary by themselves.
    optimiser : {'adamw', 'sgd'}
    schedule : {'cosine', 'steps'}
    losses : {'full', 'paper', 'whole sperm'}
        'paper': cross-entropy alone for the segmentation, equation (2). 'whole sperm': pixels are
        sperm or not, for a network whose class head tells the class.
    recorded_share : float
        Of the drawn crops that are not of profile exam, those of profile recorded; the others are
        of profile train.
    only : {'segmentation', 'detection'}, optional
        What alone is trained; the rest stays as it is, bit by bit.
    head_pointers : bool
        The segmentation learns, too, where the head of each pixel is.
    imitate : bool
        On crops in phase contrast the detection imitates another, which stays as it is, instead
        of learning from boxes: what is learnt of bright field would change it there, too.
    held_out : float
        Share of the labelled frames, by recording, that scores are taken on.
    rehearsal : float
        Share of the crops that are specimens beside labelled folders: a few dozen frames of one
        microscope, boxes alone perhaps, make a network forget what they do not show.
    """

    variant: str = "lite"
    task: str = "joint"
    steps: int = 20_000
    minutes: float | None = None
    batch: int = 8
    crop_px: int = 256
    peak_rate: float = 2e-3
    last_rate: float = 1e-6
    warm_up: int = 200
    weight_decay: float = 0.03
    decay: float = 0.998
    seed: int = 1
    workers: int = 1
    detect_every: int = 2
    exam_share: float = 0.6
    phase_share: float = 0.25
    scene_share: float = 0.5
    recorded_share: float = 0.0
    check_every: int = 500
    check_frames: int = 4
    epochs: int | None = None
    augmentation: str = "mirror"
    optimiser: str = "adamw"
    schedule: str = "cosine"
    losses: str = "full"
    only: str | None = None
    head_pointers: bool = False
    imitate: bool = False
    held_out: float = 0.0
    rehearsal: float = 0.0
    preset: str = "lite"

    def __post_init__(self) -> None:
        self._check_numbers()
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known and not (name == "only" and value is None):
                raise ModelError(
                    f"{_SAID.get(name, name)} '{value}' is unknown; choose "
                    f"{', '.join(known[:-1])} or {known[-1]}"
                )

    def _check_numbers(self) -> None:
        for names, allowed, words in _RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not allowed(value):
                    raise ModelError(f"training: {name} is {value:g}; it must be {words}")

    def loss_settings(self) -> LossSettings:
        """Return the weights of the losses."""
        if self.losses == "paper":
            return LossSettings(class_weights=(1.0, 1.0, 1.0), dice=0.0, kinds=0.0)
        if self.losses == "whole sperm":
            return LossSettings(kinds=0.2, whole_sperm=True)
        return LossSettings()


_LITE = TrainSettings()
# Segmentation: batch 4 of 512x512, AdamW from 5e-5 up to 5e-4 and down to 1e-6, 100 epochs (of 118
# pictures: 2950 steps). The network is what was learnt last, no average.
_PAPER_SEGMENT = TrainSettings(
    variant="r50",
    task="segment",
    steps=2950,
    batch=4,
    crop_px=512,
    peak_rate=5e-4,
    decay=0.0,
    detect_every=1,
    check_every=100,
    epochs=100,
    augmentation="paper",
    losses="paper",
    held_out=0.2,
)
# Detection: batch 16, SGD from 0.02, divided by ten at 400, 600 and 800 of 1000 iterations.
_PAPER_DETECT = replace(
    _PAPER_SEGMENT,
    task="detect",
    steps=1000,
    batch=16,
    crop_px=800,
    peak_rate=0.02,
    warm_up=20,
    weight_decay=1e-4,
    epochs=None,
    augmentation="short side",
    optimiser="sgd",
    schedule="steps",
)
# For a few dozen frames of one's own microscope, from weights that ship: half an hour at most.
_TUNE = TrainSettings(
    steps=2000,
    minutes=25.0,
    peak_rate=5e-4,
    warm_up=50,
    decay=0.99,
    check_every=100,
    rehearsal=0.4,
)
# The maps again, of a network whose boxes and classes of sperm are good: a third of a step's time.
_MAPS = replace(
    _LITE,
    steps=8000,
    peak_rate=1e-3,
    warm_up=100,
    weight_decay=0.02,
    phase_share=0.45,
    scene_share=0.65,
    losses="whole sperm",
    only="segmentation",
    head_pointers=True,
)
# The boxes again, on looks that whole scenes do not show; maps and classes stay.
_BOXES = replace(
    _LITE,
    steps=1800,
    peak_rate=8e-4,
    warm_up=50,
    weight_decay=0.02,
    detect_every=1,
    exam_share=0.0,
    phase_share=0.5,
    recorded_share=0.5,
    only="detection",
)
_PRESETS = {
    "tune": {task: replace(_TUNE, task=task) for task in TASKS},
    "lite": {task: replace(_LITE, task=task) for task in TASKS},
    # The paper trains the tasks apart; together they train as its segmentation does.
    "paper": {
        "segment": _PAPER_SEGMENT,
        "detect": _PAPER_DETECT,
        "joint": replace(_PAPER_SEGMENT, task="joint"),
    },
    "maps": {task: replace(_MAPS, task=task) for task in TASKS},
    "boxes": {task: replace(_BOXES, task=task) for task in TASKS},
}


def preset(name: str, task: str = "joint") -> TrainSettings:
    """Return the settings of a preset for a task.

    Raises
    ------
    ModelError
        A preset or task that is not known.
    """
    if name not in _PRESETS:
        raise ModelError(f"training preset '{name}' is unknown; choose {', '.join(_PRESETS)}")
    if task not in TASKS:
        raise ModelError(f"training task '{task}' is unknown; choose {', '.join(TASKS)}")
    return replace(_PRESETS[name][task], preset=name)
