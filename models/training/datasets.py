"""Labelled data on disk, of whatever kind: labelme, COCO, Pascal VOC, MOT, specimens."""

from __future__ import annotations

from pathlib import Path

from models.errors import DataError
from models.training.coco import coco_recordings
from models.training.json_file import read_json
from models.training.labelled_frames import LabelledFrames
from models.training.labelme_json import labelme_recordings
from models.training.mot_table import mot_recording
from models.training.pascal_voc import voc_recordings
from models.training.shapes import tell_left_out
from models.training.unread import (
    ANNOTATIONS,
    TABLES,
    kinds_in,
    labelled_below,
    listed,
    tell_deeper,
    tell_other_json,
    tell_other_kinds,
)


def open_data(path: Path, *, skip_bad: bool = False) -> list[LabelledFrames]:
    """Open a folder of labelled frames, whatever its kind.

    A folder with ``annotations.json`` is a specimen directory or COCO; one with ``gt_mot.txt`` or
    ``gt.txt`` and one film is a MOT recording (class 0 is sperm, all others are ignored); one with
    XML files, or with a folder ``boxes`` of them, is Pascal VOC: ``NAME_ffff.xml`` belongs to
    frame ffff (from 1) of the film ``NAME.*``, any other ``NAME.xml`` to a picture of that name;
    one with other JSON files is COCO or labelme. A folder that holds none of these is a set of such
    folders.

    Parameters
    ----------
    path : Path
    skip_bad : bool
        Leave out what cannot be used, with a line of warning each, instead of raising: the frame
        where a file or shape is bad, the whole recording where its table or film is.

    Returns
    -------
    list of LabelledFrames
        Empty only with ``skip_bad``, where all that is labelled had to be left out.

    Raises
    ------
    DataError
        The folder is missing or holds nothing that is labelled, or a file is bad. The message
        names file and shape, and the size of the picture where that is what does not fit.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; a folder of labelled frames is needed")
    found = _usable(path, skip_bad)
    unread = labelled_below(path)
    folders: list[Path] = []
    if not found:
        folders = sorted(p for p in path.iterdir() if p.is_dir())
        for folder in folders:
            found += _usable(folder, skip_bad)
        unread = [deeper for folder in folders for deeper in labelled_below(folder)]
    if found or (skip_bad and any(kinds_in(folder).names() for folder in [path, *folders])):
        tell_deeper(path, unread)
        return found
    if unread:
        raise DataError(
            f"{path}: nothing labelled in it or in its folders, only deeper: {listed(unread)}"
        )
    raise DataError(
        f"{path}: nothing labelled in it that can be used; {ANNOTATIONS}, {TABLES[0]} with a film, "
        "labelme's JSON or XML files are needed"
    )


def _usable(path: Path, skip_bad: bool) -> list[LabelledFrames]:
    """Return the recordings in this very folder; with ``skip_bad`` a bad one is told, no more."""
    try:
        return _recordings(path, skip_bad)
    except DataError as fault:
        if not skip_bad:
            raise
        tell_left_out(fault)
        return []


def _recordings(path: Path, skip_bad: bool) -> list[LabelledFrames]:
    """Return the recordings in this very folder; none where nothing in it is labelled."""
    kinds = kinds_in(path)
    tell_other_kinds(path, kinds.names())
    if kinds.annotations is not None:
        return coco_recordings(kinds.annotations, skip_bad=skip_bad)
    if kinds.table is not None:
        return [mot_recording(path, kinds.table, skip_bad)]
    if kinds.xml:
        return voc_recordings(path, kinds.xml, skip_bad)
    return _json_recordings(path, skip_bad)


def _json_recordings(path: Path, skip_bad: bool) -> list[LabelledFrames]:
    """Tell COCO from labelme by what the files hold."""
    recordings: list[LabelledFrames] = []
    labelme: list[Path] = []
    for file in sorted(path.glob("*.json")):
        try:
            content = read_json(file)
            if "annotations" in content and "images" in content:
                recordings += coco_recordings(file, skip_bad=skip_bad)
            elif "shapes" in content:
                labelme.append(file)
            else:
                tell_other_json(file)
        except DataError as fault:
            if not skip_bad:
                raise
            tell_left_out(fault)
    if labelme:
        recordings += labelme_recordings(path, labelme, skip_bad)
    return recordings
