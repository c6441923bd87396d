"""Frames of a film with the heads that are labelled in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from models.errors import DataError
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pictures import film_frames, film_packets, film_rate
from models.training.shapes import HeadShape, labelled_frame, tell_left_out


def film_recording(
    film: Path,
    labels: Mapping[int, list[HeadShape]],
    name: str,
    *,
    unlabelled_are_empty: bool = False,
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
    skip_bad : bool
        Leave out frames whose labels do not fit.

    Raises
    ------
    DataError
        The film is missing, is none, or is shorter than its labels.
    """
    told, fps = film_rate(film)
    told = told or film_packets(film)
    if told and max(labels, default=0) >= told:
        raise DataError(
            f"{film}: {told} frames, but the labels go on to frame {max(labels) + 1}; "
            "labels and film do not belong together"
        )

    def read() -> Iterator[LabelledFrame]:
        for number, image in enumerate(film_frames(film)):
            if number not in labels and not unlabelled_are_empty:
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

    return LabelledFrames(name, told if unlabelled_are_empty else len(labels), read, fps=fps)
