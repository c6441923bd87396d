"""Four parts to train on, one to test on: whole recordings, drawn with a fixed seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from models.errors import DataError
from models.training.labelled_frames import LabelledFrame, LabelledFrames

SEED = 20
SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Split:
    """Recordings to train on and to test on.

    Attributes
    ----------
    by : {'recording', 'time'}
        'time': there was one recording alone, and its end is the test.
    """

    train: list[LabelledFrames]
    test: list[LabelledFrames]
    by: str


def split(recordings: Sequence[LabelledFrames], share: float = SHARE, seed: int = SEED) -> Split:
    """Split by recording: frames of one film resemble each other and must not be on both sides.

    Recordings are drawn into the test until it holds ``share`` of the frames as nearly as whole
    recordings allow, at least one and never all. One recording alone is cut in time.

    Parameters
    ----------
    recordings : sequence of LabelledFrames
        Their order makes no difference.
    share : float
        Between 0 and 1.
    seed : int

    Raises
    ------
    DataError
        Fewer than two frames, or a share that leaves one side empty.
    """
    if not 0 < share < 1:
        raise DataError(
            f"split: a share of {share:g} leaves a side empty; name one between 0 and 1"
        )
    total = sum(len(r) for r in recordings)
    if total < 2:
        raise DataError(f"split: {total} labelled frames; at least two are needed")
    if len(recordings) == 1:
        return _in_time(recordings[0], share)
    ordered = sorted(recordings, key=lambda r: (r.name, len(r)))
    drawn = [ordered[k] for k in np.random.default_rng(seed).permutation(len(ordered))]
    test: list[LabelledFrames] = []
    held = 0
    for recording in drawn[:-1]:
        # Taken if that brings the test nearer to its share.
        if not test or abs(held + len(recording) - share * total) < abs(held - share * total):
            test.append(recording)
            held += len(recording)
    chosen = {id(r) for r in test}
    return Split([r for r in ordered if id(r) not in chosen], test, "recording")


def _in_time(recording: LabelledFrames, share: float) -> Split:
    count = len(recording)
    border = min(max(round(count * (1 - share)), 1), count - 1)

    def part(first: int, last: int | None) -> LabelledFrames:
        def read() -> Iterator[LabelledFrame]:
            return islice(iter(recording), first, last)

        name = f"{recording.name}[{first}:{'' if last is None else last}]"
        return replace(recording, name=name, count=(last or count) - first, read=read)

    return Split([part(0, border)], [part(border, None)], "time")
