"""Where a training's weights come from: the weights it began with and the frames it was taught on.

Written into its checkpoint and its weights, and from there into the manifest of an archive. Names
of folders alone are kept: no path says whose machine it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.data import Dataset

from models.errors import ModelError
from models.sfcnet.export import training_facts
from models.sfcnet.manifest import sha256_of, trusted_entry
from models.sfcnet.unfold import is_archive
from models.training.crops import Crop
from models.training.folder_crops import FolderCrops, RehearsedCrops
from models.training.settings import TrainSettings

_DRAWN = "specimens drawn on the fly"


def data_of(
    settings: TrainSettings, folders: Sequence[Path], crops: Dataset[Crop]
) -> dict[str, object]:
    """Return what is told of the frames that a training is taught on.

    Returns
    -------
    dict
        data, in words; of labelled folders ``labelled``: folders (names) and frames (a number).
    """
    taught = crops.crops if isinstance(crops, RehearsedCrops) else crops
    if not isinstance(taught, FolderCrops):
        profiles = "train, recorded and exam" if settings.recorded_share else "train and exam"
        return {"data": f"{_DRAWN}, profiles {profiles}, seed and crop number"}
    names = sorted(Path(folder).resolve().name for folder in folders)
    frames = len(taught.frames)
    words = f"{frames} labelled frames of {', '.join(names)}"
    if settings.rehearsal:
        words += f", {settings.rehearsal:.0%} of the crops {_DRAWN}"
    return {"data": words, "labelled": {"folders": names, "frames": frames}}


def start_of(weights: Path) -> dict[str, object]:
    """Return what is told of the weights that a training begins with.

    Returns
    -------
    dict
        start, in words; begun_from: file and sha256; ``before``: what its own manifest entry or
        training tells, where there is one.
    """
    digest = sha256_of(weights)
    return {
        "start": f"{weights.name} (sha256 {digest[:12]})",
        "begun_from": {"file": weights.name, "sha256": digest},
        **_before(weights, digest),
    }


def _before(weights: Path, digest: str) -> dict[str, object]:
    if is_archive(weights):
        return {"before": {**trusted_entry(weights).provenance, "sha256": digest}}
    try:
        return {"before": {**training_facts(weights), "sha256": digest}}
    except ModelError:
        return {}  # of ImageNet: no training of this program


def refuse_other_origin(held: object, mine: Mapping[str, object], path: Path) -> None:
    """Refuse to go on with a training on other frames, or from other weights, than its own.

    Parameters
    ----------
    held : what a checkpoint says; nothing, where an earlier version wrote it
    mine : as ``data_of`` returns it, and ``start_of`` where weights were named again

    Raises
    ------
    ModelError
        Names both.
    """
    if not isinstance(held, Mapping) or "data" not in held:
        return
    if held["data"] != mine["data"]:
        raise ModelError(
            f"{path}: was begun on {held['data']}, not on {mine['data']}; name the same --data, or "
            "start a new training with --init"
        )
    if "begun_from" in mine and held.get("begun_from") != mine["begun_from"]:
        raise ModelError(
            f"{path}: was begun with {held.get('start')}, not with {mine['start']}; leave --init "
            "out, or start a new training"
        )
