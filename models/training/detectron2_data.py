"""Labelled folders as data sets of detectron2, for its trainers and evaluators.

detectron2 reads pictures from files: frames are written to a folder as PNG once, with their boxes
beside them. See ``models.sfcnet.detectron2`` for installing it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from models.errors import DataError
from models.sfcnet.detectron2 import part
from models.training.datasets import open_data
from models.training.instances import corner_box
from models.training.labelled_frames import LabelledFrame
from models.training.pictures import write_picture

RECORDS = "records.json"
# detectron2's number for x0, y0, width, height: its enumeration BoxMode keeps the order.
_XYWH_ABS = 1


def register_data(
    name: str, data: Sequence[Path], cache: Path, *, skip_bad: bool = False
) -> list[dict[str, object]]:
    """Enter labelled folders in detectron2's catalogue under ``name``; return its records.

    Boxes are heads, of the one class 'sperm'; ignored regions are crowd regions.

    Parameters
    ----------
    name : str
        Must not be in the catalogue yet.
    data : sequence of Path
        See ``datasets.open_data``.
    cache : Path
        Takes the frames; what was written there under this name is used again.
    skip_bad : bool
        Leave out files that cannot be used instead of raising.

    Raises
    ------
    DataError
        Bad data.
    ModelError
        detectron2 is not installed.
    """
    catalogue = part("data")
    folder = cache / name
    records = _kept(folder) or written(data, folder, skip_bad=skip_bad)
    catalogue.DatasetCatalog.register(name, lambda: records)
    catalogue.MetadataCatalog.get(name).set(thing_classes=["sperm"])
    return records


def written(
    data: Sequence[Path], folder: Path, *, skip_bad: bool = False
) -> list[dict[str, object]]:
    """Write the frames of labelled folders to ``folder``; return detectron2's records of them."""
    folder.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, object]] = []
    for source in data:
        for recording in open_data(Path(source), skip_bad=skip_bad):
            for frame in recording:
                path = folder / f"{len(records) + 1:06d}.png"
                write_picture(path, frame.image)
                records.append(record(frame, path, len(records) + 1))
    partial = folder / (RECORDS + ".part")
    partial.write_text(json.dumps(records), encoding="utf-8")
    partial.replace(folder / RECORDS)
    return records


def record(frame: LabelledFrame, path: Path, number: int) -> dict[str, object]:
    """Return what detectron2 wants to know of one picture. Its boxes count from edge to edge."""
    boxes = [(box, 0) for box in frame.box_px] + [(box, 1) for box in frame.ignored_px]
    annotations = [
        {"bbox": [float(v) for v in corner_box(box)], "bbox_mode": _XYWH_ABS, "category_id": 0,
         "iscrowd": crowd}
        for box, crowd in boxes
    ]  # fmt: skip
    height, width = frame.image.shape
    return {
        "file_name": str(path), "image_id": number, "height": height, "width": width,
        "annotations": annotations,
    }  # fmt: skip


def _kept(folder: Path) -> list[dict[str, object]]:
    """Return the records written before; none where there are none."""
    file = folder / RECORDS
    if not file.is_file():
        return []
    try:
        records: list[dict[str, object]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"{file}: is damaged ({fault}); delete {folder}") from fault
    return records
