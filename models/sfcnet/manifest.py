"""The manifest beside a set of archives: what each is, and the sha256 that it must have.

A TorchScript archive is a program. It is loaded only when its sha256 stands in the manifest.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from models.errors import NoWeights, WeightsError

MANIFEST = "manifest.json"
FORMAT = 1
SHIPPED = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True, slots=True)
class Entry:
    """One archive.

    Attributes
    ----------
    file, sha256 : str
        Name beside the manifest; digest of its bytes.
    variant, task : str
    half : bool
        Stored in half precision.
    score_threshold : float
        Detections below it are not reported; where F1 was best on the calibration frames.
    provenance, scores : dict
        Where the weights come from, and what they reached on what.
    """

    file: str
    sha256: str
    variant: str
    task: str
    half: bool = False
    score_threshold: float = 0.5
    provenance: dict[str, object] = field(default_factory=dict)
    scores: dict[str, object] = field(default_factory=dict)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal digest of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); name an archive that "
            "'sfcscope export' wrote"
        ) from error


def read_manifest(folder: Path) -> list[Entry]:
    """Return the entries of ``folder``'s manifest; none where there is no manifest."""
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise WeightsError(
                f"{path}: format {content['format']}, this program reads {FORMAT}; update it"
            )
        return [Entry(**entry) for entry in content["archives"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path}: damaged manifest ({error}); export the weights again"
        ) from error


def place(draft: Path, archive: Path, entry: Entry) -> None:
    """Move a draft to where an archive belongs, and its entry into the manifest there.

    Both or neither: an archive without its entry would not be loaded, and the one that was there
    may be in use. All that needs room is written before anything is replaced.

    Parameters
    ----------
    draft, archive : Path
        On one file system.
    entry : Entry
        Of the archive; takes the place of one for the same file.

    Raises
    ------
    WeightsError
        Something cannot be written; archive and manifest are as they were.
    """
    path = archive.parent / MANIFEST
    partial, before = path.with_suffix(".part"), path.with_suffix(".before")
    entries = [e for e in read_manifest(archive.parent) if e.file != entry.file] + [entry]
    entries.sort(key=lambda e: e.file)
    content = {"format": FORMAT, "archives": [asdict(e) for e in entries]}
    there = path.is_file()
    try:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if there:
            before.write_bytes(path.read_bytes())
        partial.replace(path)
        try:
            draft.replace(archive)
        except OSError:
            if there:
                before.replace(path)
            else:
                path.unlink()
            raise
    except OSError as error:
        raise WeightsError(
            f"{archive}: cannot be written with its entry in {path.name} ({error.strerror}); "
            "nothing was changed; make room or choose another folder"
        ) from error
    finally:
        for left in (partial, before):
            if left.is_file():
                left.unlink()


def trusted_entry(archive: Path) -> Entry:
    """Return the entry of an archive after its digest has been checked.

    The manifest beside the archive counts, and the one that is shipped.

    Raises
    ------
    WeightsError
        The archive is missing, or its digest stands in no manifest.
    """
    if not archive.is_file():
        raise NoWeights(
            f"{archive}: no such archive; write one with 'sfcscope export' or leave the choice "
            "to the program"
        )
    digest = sha256_of(archive)
    known = read_manifest(archive.parent) + read_manifest(SHIPPED)
    for entry in known:
        if entry.sha256 == digest:
            return entry
    raise WeightsError(
        f"{archive}: sha256 {digest[:12]}... is not in {archive.parent / MANIFEST}; the file is "
        "damaged or was not written by 'sfcscope export', and is not loaded"
    )


def shipped_archive(variant: str) -> Path:
    """Return the archive of ``variant`` for both tasks that comes with the program."""
    for entry in read_manifest(SHIPPED):
        if entry.variant == variant and entry.task == "joint":
            return SHIPPED / entry.file
    raise NoWeights(
        f"no weights of variant '{variant}' come with this program; train them with "
        "'sfcscope train' and name their archive"
    )
