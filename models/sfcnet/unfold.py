"""Makes a network that can be trained of an exported archive: the way back from ``fold``.

An archive has no normalisation: it was merged into the convolutions. Here each normalisation
comes back as one that changes nothing, and is then settled: with the statistics of real pictures as
its own, and scale and shift such that the network still computes the same. Then training, which
normalises by the batch, begins where the archive ended.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from models.errors import WeightsError
from models.sfcnet.manifest import trusted_entry
from models.sfcnet.network import SFCNet

# With more of its weights without a place, an archive is of another definition of the variant.
_MOST_MISFITS = 0.1
# Names in an archive (models.sfcnet.inference) to names in a network.
_PARTS = {
    "encoder.": "encoder.",
    "boxes.detection.": "detection.",
    "maps.": "segmentation.",
    "classes.": "class_head.",
    "pointers.": "head_pointers.",
}


def is_archive(path: Path) -> bool:
    """Whether a file is a TorchScript archive, which holds constants, and no plain weights."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return any(name.endswith("/constants.pkl") for name in file.namelist())


def parts_of(names: Iterable[str]) -> set[str]:
    """Return which parts of a network the names of an archive's weights are of."""
    return {
        ours.removesuffix(".")
        for name in names
        for theirs, ours in _PARTS.items()
        if name.startswith(theirs)
    }


def load_archive(network: SFCNet, path: Path) -> int:
    """Load an archive's weights into a network; return how many tensors found no place.

    Raises
    ------
    WeightsError
        The archive is not in a manifest, cannot be read, or belongs to another variant.
    """
    trusted_entry(path)
    try:
        held = torch.jit.load(str(path), map_location="cpu").float().state_dict()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path}: cannot be read ({reason}); export it again") from error
    network.attach_as_in(parts_of(held))
    state = network.state_dict()
    mine = {name.partition(".")[0] + "." for name in state}
    given: dict[str, Tensor] = {}
    for name, value in held.items():
        for theirs, ours in _PARTS.items():
            # What belongs to the other task is not missed by a network of one.
            if name.startswith(theirs) and ours in mine:
                given[ours + name.removeprefix(theirs)] = value
    taken = _plain_normalisation(network, given, state)
    for name, value in given.items():
        # A fully connected layer may have been a 1x1 convolution.
        if name in state and state[name].shape == value.shape[: state[name].ndim]:
            state[name] = value.reshape(state[name].shape)
            taken.add(name)
    misfits = len(given) - len(taken)
    if misfits > _MOST_MISFITS * len(given):
        raise WeightsError(
            f"{path}: {misfits} of {len(given)} weights do not fit variant "
            f"'{network.variant.name}'; begin from weights of this version of it"
        )
    network.load_state_dict(state)
    return misfits


def _plain_normalisation(
    network: SFCNet, given: dict[str, Tensor], state: dict[str, Tensor]
) -> set[str]:
    """Put the biases of merged convolutions into normalisations that change nothing else."""
    taken = set()
    for name, module in network.named_modules():
        if not (isinstance(module, nn.Sequential) and len(module) >= 2):
            continue
        first, second = module[0], module[1]
        if not (isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d)):
            continue
        bias = given.get(f"{name}.0.bias")
        if bias is None or bias.shape != state[f"{name}.1.bias"].shape:
            continue
        state[f"{name}.1.bias"] = bias
        state[f"{name}.1.weight"] = torch.ones_like(bias)
        state[f"{name}.1.running_mean"] = torch.zeros_like(bias)
        state[f"{name}.1.running_var"] = torch.full_like(bias, 1.0 - second.eps)
        taken.add(f"{name}.0.bias")
    return taken


@torch.no_grad()
def settle(network: SFCNet, pictures: Iterable[Tensor], parts: Sequence[str] | None = None) -> None:
    """Give every normalisation the statistics of some pictures; the function stays the same.

    Parameters
    ----------
    network : SFCNet
        Left in evaluation mode.
    pictures : iterable of (B, 1, H, W) tensors
        Grey levels; H and W are multiples of 32.
    parts : sequence of str, optional
        Of the network, by name, if not all of it.
    """
    sums: dict[nn.BatchNorm2d, list[Tensor]] = {}

    def gather(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.BatchNorm2d):
            x = inputs[0].double()
            moments = [
                x.new_tensor([x.numel() / x.shape[1]]), x.sum((0, 2, 3)), (x * x).sum((0, 2, 3))
            ]  # fmt: skip
            old = sums.get(module)
            sums[module] = (
                moments if old is None else [a + b for a, b in zip(old, moments, strict=True)]
            )

    hooks = [
        m.register_forward_pre_hook(gather)
        for name, m in network.named_modules()
        if isinstance(m, nn.BatchNorm2d) and (parts is None or name.partition(".")[0] in parts)
    ]
    network.eval()
    for picture in pictures:
        network(picture)
    for hook in hooks:
        hook.remove()
    for module, (count, total, squares) in sums.items():
        _restate(module, total / count, squares / count - (total / count) ** 2)


def _restate(module: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Exchange the statistics of a normalisation without changing what it computes."""
    if module.running_mean is None or module.running_var is None:
        raise ValueError("a normalisation without statistics cannot be settled")
    variance = variance.clamp(min=0.0)
    slope = module.weight.double() / (module.running_var.double() + module.eps).sqrt()
    shift = module.bias.double() + slope * (mean - module.running_mean.double())
    module.weight.copy_(slope * (variance + module.eps).sqrt())
    module.bias.copy_(shift)
    module.running_mean.copy_(mean)
    module.running_var.copy_(variance)
