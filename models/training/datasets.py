"""Labelled data on disk, of whatever kind: labelme, COCO, Pascal VOC, MOT, specimens."""

from __future__ import annotations

from pathlib import Path

from models.errors import DataError
from models.training.coco import ANNOTATIONS, coco_recordings
from models.training.labelled_frames import LabelledFrames
from models.training.labelme_json import labelme_recordings, read_json
from models.training.mot_table import TABLES, mot_recording
from models.training.pascal_voc import voc_recordings
from models.training.shapes import tell_left_out


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
        Leave files out that cannot be used, with a line of warning each, instead of raising.

    Raises
    ------
    DataError
        The folder is missing or holds nothing that is labelled, or a file is bad. The message
        names file and shape, and the size of the picture where that is what does not fit.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; a folder of labelled frames is needed")
    found = _recordings(path, skip_bad)
    for folder in [] if found else sorted(p for p in path.iterdir() if p.is_dir()):
        for recording in _recordings(folder, skip_bad):
            found.append(recording)
    if found:
        return found
    raise DataError(
        f"{path}: nothing labelled in it; {ANNOTATIONS}, {TABLES[0]} with a film, labelme's JSON "
        "or XML files are needed"
    )


def _recordings(path: Path, skip_bad: bool) -> list[LabelledFrames]:
    """Return the recordings in this very folder; none where nothing in it is labelled."""
    if (path / ANNOTATIONS).is_file():
        return coco_recordings(path / ANNOTATIONS, skip_bad=skip_bad)
    for name in TABLES:
        if (path / name).is_file():
            return [mot_recording(path, path / name, skip_bad)]
    folder = path / "boxes" if (path / "boxes").is_dir() else path
    files = sorted(folder.glob("*.xml"))
    if files:
        return voc_recordings(path, files, skip_bad)
    return _json_recordings(path, skip_bad)


def _json_recordings(path: Path, skip_bad: bool) -> list[LabelledFrames]:
    """Tell COCO from labelme by what the files hold."""
    recordings: list[LabelledFrames] = []
    labelme: list[Path] = []
    for file in sorted(path.glob("*.json")):
        try:
            content = read_json(file)
        except DataError as fault:
            if not skip_bad:
                raise
            tell_left_out(fault)
            continue
        if "annotations" in content and "images" in content:
            recordings += coco_recordings(file, skip_bad=skip_bad)
        elif "shapes" in content:
            labelme.append(file)
    if labelme:
        recordings += labelme_recordings(path, labelme, skip_bad)
    return recordings
