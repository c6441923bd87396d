"""Pascal VOC: one XML file per frame, beside pictures or films."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.errors import DataError
from models.training.film_labels import film_recording
from models.training.label_names import head_class
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pictures import FILMS, picture, picture_beside
from models.training.shapes import HeadShape, labelled_frame, tell_left_out


@dataclass(frozen=True, slots=True)
class VocLabels:
    """Boxes of one file, and the picture's (height, width) if the file tells it."""

    heads: list[HeadShape]
    shape: tuple[int, int] | None


def voc_recordings(path: Path, files: list[Path], skip_bad: bool) -> list[LabelledFrames]:
    """Open XML files: ``NAME_ffff.xml`` is frame ffff (from 1) of a film ``NAME.*``.

    Any other belongs to the picture of its name; pictures are grouped as ``recording_of`` says.

    Raises
    ------
    DataError
        A bad file, unless ``skip_bad``.
    """
    films = {p.stem: p for p in sorted(path.iterdir()) if p.suffix.lower() in FILMS}
    of_film: dict[str, dict[int, VocLabels]] = defaultdict(dict)
    of_picture: dict[str, list[tuple[Path, Path]]] = defaultdict(list)
    for file in files:
        stem, _, number = file.stem.rpartition("_")
        try:
            if number.isdecimal() and stem in films:
                of_film[stem][int(number) - 1] = voc_labels(file)
            else:
                pair = (file, picture_beside(path, file))
                of_picture[recording_of(file.stem)].append(pair)
        except DataError as fault:
            if not skip_bad:
                raise
            tell_left_out(fault)
    recordings = []
    for stem, labels in sorted(of_film.items()):
        heads = {number: found.heads for number, found in labels.items()}
        name = f"{path.name}/{stem}"
        try:
            recordings.append(film_recording(films[stem], heads, name, skip_bad=skip_bad))
        except DataError as fault:
            if not skip_bad:
                raise
            tell_left_out(fault)
    for stem, pairs in sorted(of_picture.items()):
        recordings.append(_picture_recording(f"{path.name}/{stem}".rstrip("/"), pairs, skip_bad))
    return recordings


def recording_of(stem: str) -> str:
    """Return what is left of a file's name without its number: frames of one film share it."""
    return re.sub(r"[ _.\-]*\d+$", "", stem)


def voc_labels(file: Path) -> VocLabels:
    """Read one XML file.

    Raises
    ------
    DataError
        No XML, a box without a corner or an area, or a class that is not known.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except OSError as fault:
        raise DataError(f"{file}: cannot be read ({fault.strerror}); check the path") from fault
    except (ElementTree.ParseError, ValueError, LookupError) as fault:  # or of no known encoding
        raise DataError(f"{file}: is no XML ({fault}); label it again") from fault
    heads: list[HeadShape] = []
    for number, thing in enumerate(root.iter("object"), start=1):
        name = (thing.findtext("name") or "").strip()
        where = f"{file}, box {number} ({name})"
        texts = [thing.findtext(f"bndbox/{k}") for k in ("xmin", "ymin", "xmax", "ymax")]
        try:
            x0, y0, x1, y1 = (float(text) for text in texts if text is not None)
        except ValueError as fault:
            raise DataError(f"{where}: lacks a corner; label it again") from fault
        if not (x1 > x0 and y1 > y0):
            raise DataError(f"{where}: {x0:g} {y0:g} {x1:g} {y1:g} is empty; draw it again")
        heads.append(HeadShape(where, (x0, y0, x1 - x0, y1 - y0), head_class(name, where)))
    size = [root.findtext(f"size/{k}") or "" for k in ("height", "width")]
    shape = (int(size[0]), int(size[1])) if all(s.isdecimal() for s in size) else None
    return VocLabels(heads, shape if shape and all(shape) else None)


def _picture_recording(name: str, pairs: list[tuple[Path, Path]], skip_bad: bool) -> LabelledFrames:
    def read() -> Iterator[LabelledFrame]:
        for file, image_file in pairs:
            try:
                labels, image = voc_labels(file), picture(image_file)
                if labels.shape and labels.shape != image.shape:
                    raise DataError(
                        f"{file}: labels of a picture of shape {labels.shape}, but {image_file} "
                        f"has {image.shape}; they do not belong together"
                    )
                frame = labelled_frame(image, labels.heads, None, str(image_file))
            except DataError as fault:
                if not skip_bad:
                    raise
                tell_left_out(fault)
                continue
            yield frame

    return LabelledFrames(name, len(pairs), read)
