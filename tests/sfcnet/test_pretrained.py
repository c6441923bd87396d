"""ImageNet weights by key: a ResNet50 in torchvision's own names, made here with random values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.errors import WeightsError
from models.sfcnet.encoder import Encoder
from models.sfcnet.pretrained import encoder_key, is_torchvision, load_encoder, load_resnet50
from models.sfcnet.variant import LITE, R50

# What torchvision 0.2 to 0.24 store: (layer, blocks, hidden width, output width).
LAYERS = ((1, 3, 64, 256), (2, 4, 128, 512), (3, 6, 256, 1024), (4, 3, 512, 2048))


def norm(name: str, width: int) -> dict[str, torch.Tensor]:
    rows = {k: torch.rand(width) + 0.5 for k in ("weight", "bias", "running_mean", "running_var")}
    return {f"{name}.{k}": v for k, v in rows.items()} | {
        f"{name}.num_batches_tracked": torch.tensor(7)
    }


def resnet50(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state = {"conv1.weight": torch.randn(64, 3, 7, 7) * 0.02, **norm("bn1", 64)}
    source = 64
    for layer, blocks, hidden, target in LAYERS:
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            shapes = ((hidden, source, 1, 1), (hidden, hidden, 3, 3), (target, hidden, 1, 1))
            for k, shape in enumerate(shapes, start=1):
                state[f"{at}.conv{k}.weight"] = torch.randn(shape) * 0.02
                state.update(norm(f"{at}.bn{k}", shape[0]))
            if block == 0:
                state[f"{at}.downsample.0.weight"] = torch.randn(target, source, 1, 1) * 0.02
                state.update(norm(f"{at}.downsample.1", target))
            source = target
    return state | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return resnet50()


class Block(nn.Module):
    """A bottleneck written out from the keys, as the ResNet paper has it."""

    def __init__(self, state: dict[str, torch.Tensor], at: str, stride: int) -> None:
        super().__init__()
        self.state, self.at, self.stride = state, at, stride

    def normed(self, x: torch.Tensor, name: str) -> torch.Tensor:
        s = {k: self.state[f"{self.at}.{name}.{k}"]
             for k in ("running_mean", "running_var", "weight", "bias")}  # fmt: skip
        return nn.functional.batch_norm(x, **s)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for k in (1, 2, 3):
            weight = self.state[f"{self.at}.conv{k}.weight"]
            stride = self.stride if k == 2 else 1
            y = nn.functional.conv2d(y, weight, stride=stride, padding=weight.shape[2] // 2)
            y = self.normed(y, f"bn{k}")
            y = torch.relu(y) if k < 3 else y
        if f"{self.at}.downsample.0.weight" in self.state:
            weight = self.state[f"{self.at}.downsample.0.weight"]
            x = self.normed(nn.functional.conv2d(x, weight, stride=self.stride), "downsample.1")
        return torch.relu(x + y)


def reference(state: dict[str, torch.Tensor], colour: torch.Tensor) -> torch.Tensor:
    x = nn.functional.conv2d(colour, state["conv1.weight"], stride=2, padding=3)
    s = {k: state[f"bn1.{k}"] for k in ("running_mean", "running_var", "weight", "bias")}
    x = nn.functional.max_pool2d(torch.relu(nn.functional.batch_norm(x, **s)), 3, 2, 1)
    for layer, blocks, _, _ in LAYERS:
        for block in range(blocks):
            x = Block(state, f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1)(x)
    return x


def test_a_grey_picture_gives_what_the_colour_network_gives(state) -> None:
    encoder = Encoder(R50).eval()
    load_encoder(encoder, state, "file")
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        mine = encoder(grey)[4]
        theirs = reference(state, grey.expand(-1, 3, -1, -1))
    assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


def test_every_weight_but_the_classifiers_has_a_place(state) -> None:
    keys = [encoder_key(name) for name in state]
    assert sorted(k for k in keys if k) == sorted(Encoder(R50).state_dict())
    assert sum(k is None for k in keys) == 2


def test_files_with_prefixes_and_of_the_first_versions(state, tmp_path) -> None:
    wrapped = {"state_dict": {f"module.{k}": v for k, v in state.items()
                              if "num_batches" not in k}, "epoch": 3}  # fmt: skip
    assert is_torchvision(wrapped)
    torch.save(wrapped, tmp_path / "resnet50.pth")
    encoder = Encoder(R50)
    load_resnet50(encoder, tmp_path / "resnet50.pth")
    assert torch.equal(encoder.stem[1].running_mean, state["bn1.running_mean"])


def test_other_networks_are_refused(state, tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"resnet18.*do not fit.*a ResNet50 for variant r50"):
        load_encoder(Encoder(LITE), state, "resnet18.pth")
    short = {k: v for k, v in state.items() if not k.startswith("layer4.2")}
    with pytest.raises(WeightsError, match="missing"):
        load_encoder(Encoder(R50), short, "file")
    with pytest.raises(WeightsError, match=r"vgg.*'features\.0\.weight'"):
        load_encoder(Encoder(R50), {"features.0.weight": torch.zeros(1)}, "vgg.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_resnet50(Encoder(R50), tmp_path / "text.pth")
    assert not is_torchvision({"average": {}})
