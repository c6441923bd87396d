"""Writes boxes: Pascal VOC and MOT. Neither holds pixels."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from models.errors import DataError
from models.training.identities import as_written
from models.training.instances import corner_box
from models.training.label_names import IGNORED
from models.training.labelled_frames import LabelledFrames
from models.training.pictures import write_film, write_picture
from models.training.unread import TABLES
from models.types import SpermClass, UInt8

_VOC_NAMES = {
    SpermClass.BACKGROUND: "sperm",
    SpermClass.NORMAL: "normal",
    SpermClass.ABNORMAL: "abnormal",
}
_MOT_SPERM, _MOT_IGNORED = 0, 3


def write_voc(folder: Path, recording: LabelledFrames, stem: str) -> int:
    """Write pictures and XML files; return the number of frames."""
    written = 0
    for number, frame in enumerate(recording, start=1):
        name = f"{stem}_{number:06d}"
        write_picture(folder / f"{name}.png", frame.image)
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = f"{name}.png"
        size = ElementTree.SubElement(root, "size")
        height, width = frame.image.shape
        for key, value in (("width", width), ("height", height), ("depth", 1)):
            ElementTree.SubElement(size, key).text = str(value)
        named = [
            *((box, _VOC_NAMES[SpermClass(int(k))])
              for box, k in zip(frame.box_px, frame.label, strict=True)),
            *((box, IGNORED) for box in frame.ignored_px),
        ]  # fmt: skip
        for box, label in named:
            thing = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(thing, "name").text = label
            bounds = ElementTree.SubElement(thing, "bndbox")
            x, y, w, h = corner_box(box)
            for key, value in (("xmin", x), ("ymin", y), ("xmax", x + w), ("ymax", y + h)):
                ElementTree.SubElement(bounds, key).text = f"{value:.3f}"
        ElementTree.indent(root)
        ElementTree.ElementTree(root).write(folder / f"{name}.xml", encoding="utf-8")
        written += 1
    return written


def write_mot(folder: Path, recording: LabelledFrames, stem: str) -> int:
    """Write a film and its table; return the number of frames.

    Heads without identities get numbers of their own, new in each frame.
    """
    rows: list[str] = []
    written = 0
    spare = 1_000_000

    def images() -> Iterator[UInt8]:
        nonlocal written, spare
        for frame in recording:
            written += 1
            known = [] if frame.sperm_id is None else frame.sperm_id.tolist()
            heads = [(box, _MOT_SPERM) for box in frame.box_px]
            heads += [(box, _MOT_IGNORED) for box in frame.ignored_px]
            for k, (box, kind) in enumerate(heads):
                spare += 1
                own = k < len(known) and known[k] > 0
                identity = as_written(known[k]) if own else spare
                place = ",".join(f"{v:.3f}" for v in corner_box(box))
                rows.append(f"{written},{identity},{place},1,{kind},1")
            yield frame.image

    write_film(folder / f"{stem}.mkv", images(), recording.fps)
    if not rows:
        raise DataError(f"{recording.name}: no head is labelled; a MOT table would be empty")
    (folder / TABLES[0]).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return written
