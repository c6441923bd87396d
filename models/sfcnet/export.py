"""Writes a network as a TorchScript archive with an entry in the manifest beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from models.errors import WeightsError
from models.sfcnet.cost import BOXES, SPERM, count
from models.sfcnet.fold import folded
from models.sfcnet.inference import Inference
from models.sfcnet.manifest import Entry, place, sha256_of, trusted_entry
from models.sfcnet.network import SFCNet
from models.sfcnet.unfold import is_archive, load_archive
from models.sfcnet.variant import variant
from models.sfcnet.weights_file import UNREADABLE, reason_of

# The largest difference between a network and its archive that is promised.
PROMISED_DIFFERENCE = 1e-3
_LOG = logging.getLogger("sfcscope.network")


def network_from(weights: Path) -> SFCNet:
    """Return the network of a training's weights file, averaged weights loaded.

    Raises
    ------
    WeightsError
        The file is missing or is no weights file.
    """
    with _told_if_unreadable(weights):
        state = torch.load(weights, map_location="cpu", weights_only=True)
        settings = state["settings"]
        network = SFCNet(variant(settings["variant"]), settings["task"])
        network.attach_as_in(state["average"])
        network.load_state_dict(state["average"])
    return network.eval()


@contextmanager
def _told_if_unreadable(weights: Path) -> Iterator[None]:
    """Say in one line what is wrong with a file that is no weights file."""
    try:
        yield
    except UNREADABLE as error:
        raise WeightsError(
            f"{weights}: no weights of a training ({reason_of(error)}); name the weights.pt that "
            "'sfcscope train' wrote"
        ) from error


def largest_difference(network: SFCNet, archive: nn.Module) -> float:
    """Return the largest absolute difference between eager and exported outputs.

    On one structured picture: of logits and head pointers, relative to the largest; and of boxes
    (px) and scores of all detections scoring 0.05 or more, each against its likest counterpart,
    since boxes of equal score may change places.
    """
    row = torch.arange(160, dtype=torch.float32)
    waves = torch.sin(row[:, None] / 3.0) * torch.cos(row[None, :] / 4.0)
    image = (150.0 + 60.0 * waves)[None, None].to(torch.uint8)
    with torch.inference_mode():
        mine, theirs = Inference(network).eval()(image), archive(image)
    worst = 0.0
    if mine[0].numel():
        for a, b in ((mine[0], theirs[0]), (theirs[0], mine[0])):
            distance = (a[a[:, 4] >= 0.05][:, None] - b[None]).abs().amax(2)
            if len(distance):
                worst = max(worst, float(distance.min(1).values.max()))
    if mine[1].numel():
        scale = max(float(mine[1].abs().max()), 1.0)
        worst = max(worst, float((mine[1] - theirs[1]).abs().max()) / scale)
    if mine[2].numel():
        scale = max(float(mine[2].abs().max()), 1.0)
        worst = max(worst, float((mine[2] - theirs[2]).abs().max()) / scale)
    return worst


def write_archive(
    network: SFCNet,
    out: Path,
    *,
    half: bool = False,
    score_threshold: float = 0.5,
    provenance: Mapping[str, object] | None = None,
    scores: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Script ``network``, write it to ``out`` and enter it in the manifest there.

    Parameters
    ----------
    half : bool
        Store the weights in half precision: half the size; loaded, they run in the precision
        that the device is best at. Half precision may not keep what is promised.

    Returns
    -------
    dict
        path, sha256, max_abs_difference, and within_promise: whether that is at most
        ``PROMISED_DIFFERENCE``; where it is not, a line says so.
    """
    model = folded(Inference(network))
    if half:
        model = model.half()
    scripted = torch.jit.script(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".part")
    scripted.save(str(partial))
    loaded = torch.jit.load(str(partial), map_location="cpu").to(torch.float32).eval()
    entry = Entry(
        file=out.name,
        sha256=sha256_of(partial),
        variant=network.variant.name,
        task=network.task,
        half=half,
        score_threshold=score_threshold,
        provenance=dict(provenance or {}),
        scores=dict(scores or {}),
    )
    try:
        place(partial, out, entry)
    finally:
        partial.unlink(missing_ok=True)
    difference = largest_difference(network, loaded)
    kept = difference <= PROMISED_DIFFERENCE
    if not kept:
        hint = "; leave --half out to keep it" if half else ""
        _LOG.warning(
            "%s: differs from its network by %.2g, more than the %g that is promised%s",
            out.name, difference, PROMISED_DIFFERENCE, hint,
        )  # fmt: skip
    return {
        "path": str(out),
        "sha256": entry.sha256,
        "max_abs_difference": difference,
        "within_promise": kept,
    }


def export(weights: Path, out: Path, half: bool = False) -> dict[str, object]:
    """Export a training's weights, or an archive again; what verb ``export`` does.

    An archive of an earlier version of the program keeps threshold and provenance and gets this
    version's way from features to boxes. Its scores, which were taken with the earlier one, go.
    """
    weights, out = Path(weights), Path(out)
    if not is_archive(weights):
        network = network_from(weights)
        written = {"torch": torch.__version__.split("+")[0]}
        provenance = {**written, **cost_facts(network), **training_facts(weights)}
        return write_archive(network, out, half=half, provenance=provenance)
    entry = trusted_entry(weights)
    network = SFCNet(variant(entry.variant), entry.task)
    load_archive(network, weights)
    return write_archive(
        network.eval(), out, half=half, score_threshold=entry.score_threshold,
        provenance={**entry.provenance, **cost_facts(network), "exported_from": entry.sha256},
    )  # fmt: skip


def export_random(out: Path, name: str = "lite", task: str = "joint", seed: int = 0) -> Path:
    """Write an archive of untrained weights: for tests of speed and of loading, not for use."""
    torch.manual_seed(seed)
    network = SFCNet(variant(name), task).eval()
    write_archive(network, out, provenance={"weights": "random", "seed": seed})
    return out


def cost_facts(network: SFCNet) -> dict[str, object]:
    """Return what a network costs at 640x480, for its provenance."""
    parts = {name.partition(".")[0] for name in network.state_dict()}
    cost = count(network.variant, network.task, height_px=480, width_px=640, parts=parts)
    counted = {"boxes": BOXES} | ({"sperm": SPERM} if network.class_head is not None else {})
    return {
        "params_m": round(cost.params_m, 3),
        "gmacs_640x480": round(cost.gmacs, 3),
        "gmacs_of": counted,
    }


def training_facts(weights: Path) -> dict[str, object]:
    """Return what a weights file says of its training: steps, settings, data, what it began from.

    Raises
    ------
    WeightsError
        The file is missing or is no weights file.
    """
    with _told_if_unreadable(weights):
        state = torch.load(weights, map_location="cpu", weights_only=True)
        return {"steps": state["step"], "settings": state["settings"], **state.get("origin", {})}
