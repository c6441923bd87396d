"""Labels that a folder holds and that are not read: they are told, never passed over in silence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger("sfcscope.data")
ANNOTATIONS = "annotations.json"
TABLES = ("gt_mot.txt", "gt.txt", "gt/gt.txt")
# Folders that belong to the labels beside them.
_PARTS = frozenset({"boxes", "images", "gt"})
_DEPTH = 3
_HEAD_BYTES = 65536
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Kinds:
    """Files of labels in one folder, by kind, in the order in which a kind is chosen.

    Attributes
    ----------
    annotations, table : Path or None
    xml : list of Path
        Those in ``boxes`` where there are any.
    json : list of Path
        That look as if they held labels: so much is read of them.
    """

    annotations: Path | None
    table: Path | None
    xml: list[Path]
    json: list[Path]

    def names(self) -> list[str]:
        """Name what is there in a few words, that which is read first."""
        return [
            text
            for text, there in (
                (self.annotations.name if self.annotations else "", self.annotations),
                (self.table.name if self.table else "", self.table),
                (_counted(self.xml, "XML"), self.xml),
                (_counted(self.json, "JSON"), self.json),
            )
            if there
        ]


def _counted(files: Sequence[Path], kind: str) -> str:
    return f"{len(files)} {kind} file{'' if len(files) == 1 else 's'}"


def kinds_in(folder: Path) -> Kinds:
    """Look for files of labels in this very folder."""
    annotations = folder / ANNOTATIONS
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    xml = sorted((folder / "boxes").glob("*.xml")) or sorted(folder.glob("*.xml"))
    json = [f for f in sorted(folder.glob("*.json")) if f != annotations and _looks_labelled(f)]
    return Kinds(
        annotations if annotations.is_file() else None, tables[0] if tables else None, xml, json
    )


def _looks_labelled(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            head = content.read(_HEAD_BYTES)
    except OSError:
        return False
    return b'"shapes"' in head or b'"annotations"' in head


def labelled_below(folder: Path, depth: int = _DEPTH) -> list[Path]:
    """Return the nearest labelled folders below ``folder``, as deep as people nest them."""
    found: list[Path] = []
    try:
        inner = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError:
        return []
    # What ``specimen --labelme`` writes says the same as the annotations beside it.
    same = {"labelme"} if (folder / ANNOTATIONS).is_file() else set()
    for path in inner:
        if path.name in _PARTS | same:
            continue
        if kinds_in(path).names():
            found.append(path)
        elif depth > 1:
            found += labelled_below(path, depth - 1)
    return found


def tell_other_kinds(folder: Path, names: Sequence[str]) -> None:
    """Say which kinds of labels beside the first are not read."""
    if len(names) > 1:
        _LOG.warning(
            "not read: %s: %s beside %s; keep one kind of labels in a folder",
            folder, " and ".join(names[1:]), names[0],
        )  # fmt: skip


def tell_deeper(folder: Path, deeper: Sequence[Path]) -> None:
    """Say which labelled folders lie too deep, or beside labels, to be read."""
    if deeper:
        _LOG.warning("not read: %s: labelled folders in it, %s", folder, listed(deeper))


def tell_other_json(file: Path) -> None:
    """Say that a JSON file holds no labels."""
    _LOG.warning(
        "not read: %s: neither 'shapes' (labelme) nor 'images' and 'annotations' (COCO) in it; "
        "label it again, or move it elsewhere",
        file,
    )


def listed(folders: Sequence[Path]) -> str:
    """Name some folders, and what to do."""
    more = f" and {len(folders) - _NAMED} more" if len(folders) > _NAMED else ""
    return f"{', '.join(map(str, folders[:_NAMED]))}{more}; give each of them to --data, too"
