"""Frames that all cells are scored on."""

from __future__ import annotations

from functools import cache

from models.specimen.profiles import profile
from models.training.evaluation import specimen_frames
from models.training.labelled_frames import LabelledFrames

# Never trained on: the pool's scenes begin at 1,000,000, shipped weights are examined at 90,000.
_FIRST_SEED = 92_000
MODALITIES = ("brightfield", "phase")


@cache
def exam_set(scenes: int, objective: int = 20) -> tuple[LabelledFrames, ...]:
    """Return frames of ``scenes`` fresh specimens, every second in phase contrast.

    Rendered once in a process.
    """
    kept = []
    for k in range(scenes):
        chosen = profile("exam", modality=MODALITIES[k % 2], objective=objective)
        frames = specimen_frames(chosen, _FIRST_SEED + k, 1, 1.0)
        kept.append(_kept(frames))
    return tuple(kept)


def _kept(recording: LabelledFrames) -> LabelledFrames:
    frames = tuple(recording)
    return LabelledFrames(
        recording.name, len(frames), lambda: iter(frames), recording.um_per_px, recording.fps
    )
