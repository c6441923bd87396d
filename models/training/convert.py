"""Turns labelled data of one kind into another, split if wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.errors import DataError
from models.training.datasets import open_data
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.split import SEED, split
from models.training.write_boxes import write_mot, write_voc
from models.training.write_masks import write_coco, write_labelme_set

_Writer = Callable[[Path, LabelledFrames, str], int]
WRITERS: dict[str, _Writer] = {
    "labelme": write_labelme_set,
    "coco": write_coco,
    "voc": write_voc,
    "mot": write_mot,
    # A specimen directory without its true tables, which labels alone do not give.
    "specimen": partial(write_coco, film=True),
}
_WITHOUT_PIXELS = frozenset({"voc", "mot"})
_WITHOUT_CLASS = frozenset({"mot"})
_WITHOUT_IDENTITY = frozenset({"voc"})


def convert(
    data: Sequence[Path],
    out: Path,
    *,
    to: str,
    hold_out: float = 0.0,
    seed: int = SEED,
    skip_bad: bool = False,
) -> dict[str, object]:
    """Convert labelled folders; what verb ``convert`` does.

    Parameters
    ----------
    data : sequence of Path
        See ``datasets.open_data``.
    out : Path
        A new or empty folder. One recording goes into it, several into a folder each; with
        ``hold_out`` these lie in ``train`` and ``test``.
    to : {'labelme', 'coco', 'voc', 'mot', 'specimen'}
    hold_out : float
        Share of the frames that goes to ``test``, by recording: 0.2 is the paper's 4:1.
    seed : int
        Of the split.
    skip_bad : bool
        Leave files out that cannot be used instead of raising.

    Returns
    -------
    dict
        recordings, frames, heads, masked_frames, dir; lost: what the kind cannot hold ('masks',
        'classes', 'identities') and the data had; split: 'recording', 'time' or None.

    Raises
    ------
    DataError
        Bad data, an unknown kind, or an output folder that holds something.
    """
    if to not in WRITERS:
        raise DataError(f"convert: kind {to!r} is not known; choose {', '.join(sorted(WRITERS))}")
    recordings = [r for folder in data for r in open_data(Path(folder), skip_bad=skip_bad)]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: is not empty; choose a new --out, nothing is written over")
    counts = _Counts()
    parts = {"": recordings}
    by = None
    if hold_out:
        divided = split(recordings, hold_out, seed)
        parts, by = {"train": divided.train, "test": divided.test}, divided.by
    for part, chosen in parts.items():
        for name, recording in _named(chosen):
            folder = out / part / name if len(chosen) > 1 else out / part
            folder.mkdir(parents=True, exist_ok=True)
            counts.frames += WRITERS[to](folder, counts.watched(recording), name)
    return {
        "recordings": len(recordings), "frames": counts.frames, "heads": counts.heads,
        "masked_frames": counts.masked, "lost": counts.lost(to), "split": by, "dir": str(out),
    }  # fmt: skip


def _named(recordings: Sequence[LabelledFrames]) -> Iterator[tuple[str, LabelledFrames]]:
    """Name each recording by a word of its own that any file system takes."""
    used: set[str] = set()
    for recording in recordings:
        plain = "".join(c if c.isalnum() or c == "-" else "_" for c in recording.name).strip("_")
        name, number = plain or "recording", 1
        while name in used:
            number += 1
            name = f"{plain}-{number}"
        used.add(name)
        yield name, recording


class _Counts:
    """What went through: how much, and what of it a kind of labels may not hold."""

    def __init__(self) -> None:
        self.frames = self.heads = self.masked = 0
        self._classes = self._identities = False

    def watched(self, recording: LabelledFrames) -> LabelledFrames:
        """Return the recording; its frames are counted as they are read."""

        def read() -> Iterator[LabelledFrame]:
            for frame in recording:
                self.heads += len(frame.box_px)
                self.masked += frame.class_map is not None
                self._classes |= bool(frame.label.any())
                self._identities |= frame.sperm_id is not None and len(frame.sperm_id) > 0
                yield frame

        return replace(recording, read=read)

    def lost(self, to: str) -> list[str]:
        """Name what the data had and the kind ``to`` cannot hold."""
        return [
            name
            for name, had, kinds in (
                ("masks", self.masked > 0, _WITHOUT_PIXELS),
                ("classes", self._classes, _WITHOUT_CLASS),
                ("identities", self._identities, _WITHOUT_IDENTITY),
            )
            if had and to in kinds
        ]
