"""What labelled frames can teach: asked before a training that would learn nothing of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from models.errors import ModelError
from models.training.labelled_frames import LabelledFrame
from models.training.settings import TrainSettings

_LOG = logging.getLogger("sfcscope.training")
_NEEDS = {
    "segmentation": "no outline of a sperm",
    "detection": "no rectangle of a head",
}


def taught_by(frames: Sequence[LabelledFrame]) -> set[str]:
    """Return which parts of the network frames say something to.

    Pixels that are known teach the segmentation; boxes, and places where there is none, the
    detection.
    """
    parts = set()
    if any(frame.class_map is not None for frame in frames):
        parts.add("segmentation")
    if any(len(frame.box_px) or not _ignored_whole(frame) for frame in frames):
        parts.add("detection")
    return parts


def asked_of(settings: TrainSettings) -> set[str]:
    """Return which parts of the network a training is to teach."""
    if settings.only is not None:
        return {settings.only}
    by_task = {"segment": {"segmentation"}, "detect": {"detection"}}
    return by_task.get(settings.task, {"segmentation", "detection"})


def check_lessons(
    settings: TrainSettings, frames: Sequence[LabelledFrame], *, told: bool = True
) -> None:
    """Refuse a training that nothing is taught in, and say what labelled frames do not teach.

    Parameters
    ----------
    frames : sequence of LabelledFrame
        That are trained on.
    told : bool
        Whether this process speaks.

    Raises
    ------
    ModelError
        The frames say nothing of what is to be taught, and no specimens are drawn beside them.
    """
    asked = asked_of(settings)
    missing = asked - taught_by(frames)
    words = " and ".join(_NEEDS[part] for part in sorted(missing))
    if missing == asked and not settings.rehearsal:
        raise ModelError(
            f"training: {words} in {len(frames)} labelled frames, and a training of "
            f"{' and '.join(sorted(asked))} learns from nothing else; label them, or choose "
            "another task"
        )
    if missing and told:
        teacher = "specimens alone teach it" if settings.rehearsal else "nothing teaches it"
        _LOG.warning(
            "training: %s in %d labelled frames: %s (%s)",
            words, len(frames), teacher, ", ".join(sorted(missing)),
        )  # fmt: skip


def _ignored_whole(frame: LabelledFrame) -> bool:
    height, width = frame.image.shape
    return bool((frame.ignored_px[:, 2:] >= [width, height]).all(axis=1).any())
