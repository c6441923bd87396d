"""Frames of a film with the heads that are labelled in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from models.errors import DataError
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pictures import film_frames, film_packets, film_rate
from models.training.shapes import HeadShape, labelled_frame, tell_left_out
from models.types import UInt8


def film_recording(
    film: Path,
    labels: Mapping[int, list[HeadShape]],
    name: str,
    *,
    unlabelled_are_empty: bool = False,
    without: Collection[int] = (),
    skip_bad: bool = False,
) -> LabelledFrames:
    """Open a film.

    Parameters
    ----------
    film : Path
    labels : mapping of int to list of HeadShape
        By frame, from 0.
    name : str
    unlabelled_are_empty : bool
        Frames without labels hold no sperm; else they are passed over.
    without : collection of int
        Frames that are passed over: something is wrong with their labels.
    skip_bad : bool
        Leave out frames whose labels do not fit, labels beyond the film's end, and what comes
        after a place that cannot be decoded, each with a warning.

    Raises
    ------
    DataError
        The film is missing, is none, or is shorter than its labels.
    """
    told, fps = film_rate(film)
    told = told or film_packets(film)
    if told and max(labels, default=0) >= told:
        fault = DataError(
            f"{film}: {told} frames, but the labels go on to frame {max(labels) + 1}; "
            "labels and film do not belong together"
        )
        labels = {number: heads for number, heads in labels.items() if number < told}
        if not (skip_bad and labels):
            raise fault
        tell_left_out(fault)

    def read() -> Iterator[LabelledFrame]:
        for number, image in enumerate(readable_frames(film, skip_bad)):
            if number in without or (number not in labels and not unlabelled_are_empty):
                continue
            where = f"{film}, frame {number + 1}"
            try:
                frame = labelled_frame(image, labels.get(number, []), None, where)
            except DataError as fault:
                if not skip_bad:
                    raise
                tell_left_out(fault)
                continue
            yield frame

    count = told - sum(k < told for k in without) if unlabelled_are_empty else len(labels)
    return LabelledFrames(name, max(count, 0), read, fps=fps)


def readable_frames(film: Path, skip_bad: bool) -> Iterator[UInt8]:
    """Decode a film; with ``skip_bad`` a damaged place ends it with a warning.

    Raises
    ------
    DataError
        See ``pictures.film_frames``; not with ``skip_bad``.
    """
    try:
        yield from film_frames(film)
    except DataError as fault:
        if not skip_bad:
            raise
        tell_left_out(fault)
