"""Turns labelled data of one kind into another, split if wanted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.errors import DataError
from models.training.datasets import open_data
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.shapes import tell_left_out
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
        Leave out what cannot be used instead of raising: see ``datasets.open_data``.

    Returns
    -------
    dict
        recordings, frames, heads, masked_frames, dir; lost: what the kind cannot hold ('masks',
        'classes', 'identities') and the data had; split: 'recording', 'time' or None.

    Raises
    ------
    DataError
        Bad data, no frame that can be used, an unknown kind, or an output folder that holds
        something. What was written is taken away again, so that the order can be repeated.
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
    with _nothing_half_written(out):
        for part, chosen in parts.items():
            for name, recording in _named(chosen):
                folder = out / part / name if len(chosen) > 1 else out / part
                _write(folder, recording, name, WRITERS[to], counts, skip_bad)
        if not counts.frames:
            names = ", ".join(str(folder) for folder in data)
            raise DataError(f"{names}: no frame that can be used; mend what is left out")
    return {
        "recordings": min(counts.recordings, len(recordings)),
        "frames": counts.frames, "heads": counts.heads,
        "masked_frames": counts.masked, "lost": counts.lost(to), "split": by, "dir": str(out),
    }  # fmt: skip


def _write(
    folder: Path,
    recording: LabelledFrames,
    name: str,
    writer: _Writer,
    counts: _Counts,
    skip_bad: bool,
) -> None:
    """Write one recording; of one without a usable frame nothing is left."""
    folder.mkdir(parents=True, exist_ok=True)
    one = _Counts()
    try:
        written = writer(folder, one.watched(recording), name)
    except DataError as fault:
        if not skip_bad:
            raise
        tell_left_out(fault)
        written = 0
    if written:
        counts.add(one, written)
    else:
        _empty(folder)
        folder.rmdir()


@contextmanager
def _nothing_half_written(out: Path) -> Iterator[None]:
    """Take away what was written into ``out``, which was empty, when the work inside fails."""
    was_there = out.exists()
    try:
        yield
    except BaseException:
        if out.is_dir():
            _empty(out)
            out.rmdir()
        if was_there:
            out.mkdir()
        raise


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


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
        self.recordings = self.frames = self.heads = self.masked = 0
        self._classes = self._identities = False

    def add(self, one: _Counts, frames: int) -> None:
        """Add a recording of which ``frames`` were written."""
        self.recordings += 1
        self.frames += frames
        self.heads += one.heads
        self.masked += one.masked
        self._classes |= one._classes
        self._identities |= one._identities

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
