"""From an archive back to a network that can be trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.errors import WeightsError
from models.sfcnet.export import write_archive
from models.sfcnet.network import SFCNet
from models.sfcnet.unfold import is_archive, load_archive, settle
from models.sfcnet.variant import LITE, R50

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def network(seed: int) -> SFCNet:
    """One whose normalisations do something."""
    torch.manual_seed(seed)
    made = SFCNet(LITE)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2.0)
    return made.eval()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "random.pt"
    original = network(4)
    write_archive(original, path)
    return original, path


def pictures(count=3):
    torch.manual_seed(8)
    return [torch.randint(60, 200, (2, 1, 64, 64)).float() for _ in range(count)]


def test_the_archive_comes_back_and_settling_changes_nothing(archive):
    original, path = archive
    again = SFCNet(LITE).eval()
    assert load_archive(again, path) == 0
    for step in ("loaded", "settled"):
        with torch.no_grad():
            theirs, mine = original(pictures()[0]), again(pictures()[0])
        for key in theirs:
            scale = float(theirs[key].abs().max())
            assert torch.allclose(theirs[key], mine[key], atol=1e-4 * scale), (step, key)
        settle(again, pictures())


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_one_task_takes_its_part_of_an_archive_for_both(archive, task):
    original, path = archive
    part = SFCNet(LITE, task).eval()
    assert load_archive(part, path) == 0
    with torch.no_grad():
        theirs, mine = original(pictures()[0]), part(pictures()[0])
    for key, value in mine.items():
        assert torch.allclose(theirs[key], value, atol=1e-4 * float(value.abs().max())), key


def test_settled_training_begins_where_the_archive_ended(archive):
    _, path = archive
    loaded, settled = (
        SFCNet(LITE.with_changes(aspcp_dropout=0.0)),
        SFCNet(LITE.with_changes(aspcp_dropout=0.0)),
    )
    for made in (loaded, settled):
        load_archive(made, path)
    settle(settled, [torch.cat(pictures())])
    batch = torch.cat(pictures())
    with torch.no_grad():
        wanted = settled.eval()(batch)["segmentation"]
        errors = {
            name: float((made.train()(batch)["segmentation"] - wanted).abs().mean())
            for name, made in (("loaded", loaded), ("settled", settled))
        }
    assert errors["settled"] < 0.02 * errors["loaded"]


def test_other_files_are_told_apart_and_other_variants_refused(archive, tmp_path):
    _, path = archive
    assert is_archive(path)
    torch.save({"average": {}}, tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no archive")
    assert not any(is_archive(tmp_path / n) for n in ("weights.pt", "text.pt", "nowhere.pt"))
    with torch.device("meta"):
        large = SFCNet(R50)
    with pytest.raises(WeightsError, match="do not fit variant 'r50'"):
        load_archive(large, path)
    stranger = tmp_path / "stranger.pt"
    stranger.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(WeightsError, match="is not in"):
        load_archive(SFCNet(LITE), stranger)
