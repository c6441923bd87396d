"""ImageNet weights of a ResNet50 for the encoder, from a local file in torchvision's format.

The file holds a state dict whose keys are ``conv1.weight``, ``bn1.*``,
``layer{1-4}.{block}.conv{1-3}.weight``, ``.bn{1-3}.*``, ``.downsample.{0,1}.*`` and ``fc.*``.
Nothing is fetched: the file is the user's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from models.errors import WeightsError
from models.sfcnet.encoder import Encoder
from models.sfcnet.weights_file import UNREADABLE, reason_of

_STEM = {"conv1": "stem.0", "bn1": "stem.1"}
_BLOCK = re.compile(
    r"layer(?P<layer>[1-4])\.(?P<block>\d+)\."
    r"(?:(?P<kind>conv|bn)(?P<number>[1-3])|downsample\.(?P<skip>[01]))\.(?P<rest>\w+)"
)
_PREFIXES = ("module.", "backbone.", "encoder.")


def encoder_key(name: str) -> str | None:
    """Return the encoder's key for one of torchvision's; None for the classifier's.

    Raises
    ------
    WeightsError
        A key that no ResNet of bottlenecks has.
    """
    if name.startswith("fc."):
        return None
    first, _, rest = name.partition(".")
    if first in _STEM:
        return f"{_STEM[first]}.{rest}"
    found = _BLOCK.fullmatch(name)
    if found is None:
        raise WeightsError(
            f"key {name!r} belongs to no ResNet50; name a file in torchvision's format"
        )
    stage = f"stages.{int(found['layer']) - 1}.{found['block']}"
    if found["skip"] is not None:
        return f"{stage}.skip.{found['skip']}.{found['rest']}"
    part = 0 if found["kind"] == "conv" else 1
    return f"{stage}.body.{int(found['number']) - 1}.{part}.{found['rest']}"


def is_torchvision(state: Mapping[str, object]) -> bool:
    """Whether a file's content looks like a ResNet of torchvision."""
    return any("layer1.0.conv1.weight" in key for key in _plain(state))


def _plain(state: Mapping[str, object]) -> dict[str, object]:
    """Unwrap ``state_dict`` and drop the prefixes that trainers put before every key."""
    inner = state.get("state_dict", state)
    if not isinstance(inner, Mapping):
        return {}
    plain = dict(inner)
    for prefix in _PREFIXES:
        plain = {str(k).removeprefix(prefix): v for k, v in plain.items()}
    return plain


def load_encoder(encoder: Encoder, state: Mapping[str, object], where: str) -> None:
    """Load torchvision's weights into the encoder.

    The stem's three colour channels are summed: a grey picture is a colour picture of three equal
    channels.

    Parameters
    ----------
    encoder : Encoder
        Of variant r50.
    state : mapping of str to Tensor
    where : str
        The file, for messages.

    Raises
    ------
    WeightsError
        Keys or shapes that do not fit: another network.
    """
    mapped: dict[str, Tensor] = {}
    for name, value in _plain(state).items():
        try:
            key = encoder_key(name)
        except WeightsError as error:
            raise WeightsError(f"{where}: {error}") from error
        if key is not None and isinstance(value, Tensor):
            mapped[key] = value
    colour = mapped.get("stem.0.weight")
    if colour is not None and colour.shape[1] == 3:
        mapped["stem.0.weight"] = colour.sum(1, keepdim=True)
    mine = encoder.state_dict()
    # Files of the first torch versions do not count batches.
    missing = [k for k in mine if k not in mapped and not k.endswith("num_batches_tracked")]
    wrong = [k for k, v in mapped.items() if k not in mine or v.shape != mine[k].shape]
    if missing or wrong:
        name = (missing or wrong)[0]
        raise WeightsError(
            f"{where}: {len(missing)} weights are missing and {len(wrong)} do not fit, the first "
            f"is {name}; a ResNet50 for variant r50 is needed"
        )
    encoder.load_state_dict({**mine, **mapped})


def load_resnet50(encoder: Encoder, path: Path) -> None:
    """Load a file of torchvision's ResNet50 into the encoder; WeightsError as ``load_encoder``."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = reason_of(error)
        raise WeightsError(f"{path}: cannot be read ({reason}); name a .pth file") from error
    load_encoder(encoder, state, str(path))
