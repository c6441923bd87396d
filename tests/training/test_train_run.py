"""Whole runs of a few steps: presets, held-out recordings, interruption, several processes."""

from __future__ import annotations

import io
import os
import pickle
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.errors import ModelError
from models.sfcnet.export import export, export_random
from models.sfcnet.losses import LossSettings
from models.sfcnet.manifest import shipped_archive
from models.sfcnet.runtime import SFCNetDetector
from models.specimen.recording import write_recording
from models.training import trainer as trainer_module
from models.training.average import AverageWeights
from models.training.bar import TrainingBar, duration
from models.training.convert import convert
from models.training.crops import SpecimenCrops
from models.training.datasets import open_data
from models.training.evaluation import evaluate
from models.training.folder_crops import RehearsedCrops
from models.training.processes import Processes, ShareOf
from models.training.scene_crops import SceneCrops
from models.training.settings import TrainSettings, preset
from models.training.step_schedule import stepped_rate
from models.training.train import run, train
from models.training.trainer import CHECKPOINT, WEIGHTS, Trainer

ROOT = Path(__file__).resolve().parents[2]
SMALL = TrainSettings(
    steps=4,
    batch=2,
    crop_px=64,
    workers=0,
    check_every=2,
    check_frames=0,
    warm_up=2,
    seed=5,
    scene_share=0.0,
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(folder: Path) -> torch.Tensor:
    state = torch.load(folder / WEIGHTS, weights_only=True)["average"]
    return torch.cat([v.flatten().double() for v in state.values()])


def test_a_run_that_was_killed_ends_as_one_that_was_not(tmp_path, monkeypatch) -> None:
    run(SMALL, tmp_path / "whole")
    step = Trainer.train_step

    def killed(self, *arguments):
        if self.step == 3:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run(SMALL, tmp_path / "cut")
    assert torch.load(tmp_path / "cut" / CHECKPOINT, weights_only=True)["step"] == 2
    run(SMALL, tmp_path / "cut", resume=True)
    assert torch.equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_a_schedule_by_time_goes_on_where_it_was(tmp_path) -> None:
    limited = replace(SMALL, steps=1000, minutes=1.0)
    first = Trainer(limited)
    first.step, first.spent_s = 7, 30.0
    first.save(tmp_path)
    second = Trainer(limited)
    second.resume(tmp_path)
    assert (second.step, second.spent_s) == (7, 30.0)
    # Nothing is left of a minute of which more than a minute is spent.
    first.spent_s = 61.0
    first.save(tmp_path)
    result = run(limited, tmp_path, resume=True)
    assert result["steps"] == 7
    assert float(str(result["seconds"])) > 61.0
    with pytest.raises(ModelError, match=r"was begun with task joint, not detect"):
        run(replace(limited, task="detect"), tmp_path, resume=True)


def test_what_has_a_class_head_goes_on_without_being_told_so(tmp_path) -> None:
    first = Trainer(SMALL)
    first.network.attach_class_head()
    first.average = AverageWeights(first.network, SMALL.decay)
    first.save(tmp_path)
    # As after --init of weights that have one.
    with_head = Trainer(SMALL)
    with_head.start_from(tmp_path / WEIGHTS)
    parameters = list(with_head.network.parameters())
    for k, parameter in enumerate(parameters):
        parameter.grad = torch.full_like(parameter, 1e-3 * (k + 1))
    with_head.optimiser.step()
    with_head.step = 3
    with_head.average.follow(with_head.network, 3)
    (tmp_path / "run").mkdir()
    with_head.save(tmp_path / "run")
    plain = Trainer(SMALL)
    plain.resume(tmp_path / "run")
    assert plain.step == 3
    for mine, theirs in (
        (plain.network, with_head.network), (plain.average.network, with_head.average.network),
    ):  # fmt: skip
        held = mine.state_dict()
        assert any(key.startswith("class_head.") for key in held)
        assert all(torch.equal(held[k], v) for k, v in theirs.state_dict().items())
    # Both go on alike: the optimiser knows the class head and what it remembers of it.
    for trainer in (plain, with_head):
        for k, parameter in enumerate(trainer.network.parameters()):
            parameter.grad = torch.full_like(parameter, 1e-3 * (k + 1))
        trainer.optimiser.step()
    for one, other in zip(plain.network.parameters(), with_head.network.parameters(), strict=True):
        assert torch.equal(one, other)
    # The other way about: begun without one, resumed by a training that was given one.
    (tmp_path / "none").mkdir()
    Trainer(SMALL).save(tmp_path / "none")
    with_head.resume(tmp_path / "none")
    assert with_head.network.class_head is None
    assert run(SMALL, tmp_path / "none", resume=True)["steps"] == 4


@pytest.mark.parametrize("wrong", ["no key", "a shape", "other weights", "empty", "no table"])
def test_a_checkpoint_that_cannot_be_resumed_is_one_clear_line(tmp_path, wrong) -> None:
    Trainer(SMALL).save(tmp_path)
    path = tmp_path / CHECKPOINT
    state = torch.load(path, weights_only=True)
    if wrong == "no key":
        del state["optimiser"]
    elif wrong == "a shape":
        state["network"]["encoder.stem.0.weight"] = torch.zeros(1, 1, 3, 3)
    elif wrong == "other weights":
        state["network"] = {"stem": torch.zeros(3)}
    elif wrong == "no table":
        state = torch.zeros(3)
    torch.save(state, path)
    if wrong == "empty":
        path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"checkpoint\.pt: .*start a new training") as told:
        run(SMALL, tmp_path, resume=True)
    assert "\n" not in str(told.value)
    with pytest.raises(ModelError, match=r"resume with the words|start a new training"):
        Trainer(replace(SMALL, optimiser="sgd")).resume(tmp_path)


def test_a_schedule_by_time_that_begins_anew_says_so(tmp_path, caplog) -> None:
    limited = replace(SMALL, minutes=1.0)
    Trainer(limited).save(tmp_path)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    del state["spent_s"]
    torch.save(state, tmp_path / CHECKPOINT)
    trainer = Trainer(limited)
    trainer.resume(tmp_path)
    (line,) = [r.getMessage() for r in caplog.records]
    assert "does not say what time was spent; 1 minutes begin anew" in line
    assert trainer.spent_s == 0.0
    caplog.clear()
    del state["settings"]["minutes"]
    torch.save(state, tmp_path / CHECKPOINT)
    Trainer(SMALL).resume(tmp_path)  # a training by steps has lost nothing
    assert not caplog.records


def test_a_run_on_labelled_folders_scores_on_recordings_it_never_saw(tmp_path) -> None:
    for k in range(3):
        write_recording(tmp_path / "data" / f"film{k}", frames=2, seed=50 + k)
    result = train(
        "joint", [tmp_path / "data"], tmp_path / "run", preset="paper", variant="lite", batch=2,
        crop_px=64, epochs=1, workers=0, check_frames=1, warm_up=1,
    )  # fmt: skip
    # Four of six frames are left to train on: two batches.
    assert result["steps"] == 2
    assert result["dice"] is not None
    settings = torch.load(tmp_path / "run" / WEIGHTS, weights_only=True)["settings"]
    assert (settings["augmentation"], settings["held_out"]) == ("paper", 0.2)
    # Decay 0: the weights are the last ones, no average.
    state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)
    for key, value in state["network"].items():
        assert torch.allclose(value.double(), state["average"][key].double(), atol=1e-6), key


def test_presets_say_what_the_paper_says() -> None:
    segment, detect = preset("paper", "segment"), preset("paper", "detect")
    assert (segment.batch, segment.crop_px, segment.weight_decay) == (4, 512, 0.03)
    assert (segment.peak_rate, segment.epochs, segment.optimiser) == (5e-4, 100, "adamw")
    assert segment.loss_settings() == LossSettings((1.0, 1.0, 1.0), dice=0.0, kinds=0.0)
    assert (detect.batch, detect.steps, detect.optimiser) == (16, 1000, "sgd")
    rates = [stepped_rate(k, k / 1000, peak=detect.peak_rate, warm_up=detect.warm_up)
             for k in (0, 20, 399, 400, 600, 999)]  # fmt: skip
    assert rates == pytest.approx([2e-3, 2e-2, 2e-2, 2e-3, 2e-4, 2e-5])
    assert preset("lite", "joint") == TrainSettings()
    with pytest.raises(ModelError, match="task 'classify' is unknown"):
        preset("lite", "classify")


def test_sgd_steps_and_an_unknown_optimiser_is_named() -> None:
    assert isinstance(Trainer(replace(SMALL, optimiser="sgd")).optimiser, torch.optim.SGD)
    with pytest.raises(ModelError, match="'lion' is unknown; choose adamw or sgd"):
        Trainer(replace(SMALL, optimiser="lion"))


def test_detection_starts_from_the_encoder_that_the_segmentation_trained(tmp_path) -> None:
    first = Trainer(replace(SMALL, task="segment", seed=1))
    first.save(tmp_path)
    second = Trainer(replace(SMALL, task="detect", seed=2))
    second.start_from(tmp_path / WEIGHTS)
    mine, theirs = second.network.encoder.state_dict(), first.network.encoder.state_dict()
    assert all(torch.equal(mine[k], theirs[k]) for k in mine)
    (tmp_path / "text").write_text("no weights")
    for name in ("text", "nowhere"):
        with pytest.raises(ModelError, match="no weights of a training"):
            second.start_from(tmp_path / name)


def test_fine_tuning_begins_where_an_archive_ended(tmp_path) -> None:
    folder = tmp_path / "data"
    write_recording(folder, frames=1, seed=60)
    archive = export_random(tmp_path / "archive.pt", "lite", seed=9)
    given = {"crop_px": 64, "batch": 2, "workers": 0, "check_frames": 0, "scene_share": 0.0}
    result = train("joint", [folder], tmp_path / "none", init=archive, steps=2, peak_rate=0.0,
                   **given)  # fmt: skip
    assert result["steps"] == 2
    state = torch.load(tmp_path / "none" / WEIGHTS, weights_only=True)
    assert (state["settings"]["minutes"], state["settings"]["rehearsal"]) == (25.0, 0.4)
    # Nothing was learnt at a rate of nothing: the statistics moved, the filters did not.
    held = torch.jit.load(str(archive)).state_dict()
    theirs = held["encoder.stages.0.0.body.1.0.weight"]
    assert torch.equal(state["average"]["encoder.stages.0.0.body.1.0.weight"], theirs)


def test_the_name_of_a_variant_stands_for_the_weights_that_ship(tmp_path, monkeypatch) -> None:
    archive = export_random(tmp_path / "shipped.pt", "lite", seed=9)
    trainer = Trainer(SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "shipped_archive", {"lite": archive}.__getitem__)
        trainer.start_from(Path("lite"), SpecimenCrops(1, (64, 64), 0.0, 0.0))
    held = torch.jit.load(str(archive)).state_dict()
    assert torch.equal(trainer.network.encoder.stem[0].weight, held["encoder.stem.0.weight"])
    with pytest.raises(ModelError, match="no weights of variant 'r50'"):
        trainer.start_from(Path("r50"))


def test_a_few_boxes_of_ones_own_to_a_network_that_finds_them(tmp_path) -> None:
    """From the weights that ship, by way of boxes alone, to an archive that still knows sperm."""
    write_recording(tmp_path / "film", frames=1, seed=61)
    convert([tmp_path / "film"], tmp_path / "boxes", to="voc")
    result = train(
        "joint", [tmp_path / "boxes"], tmp_path / "run", init=Path("lite"), steps=4, batch=2,
        crop_px=128, workers=1, check_frames=0, scene_share=0.0,
    )  # fmt: skip
    assert (result["steps"], result["dice"]) == (4, None)
    done = export(Path(str(result["weights"])), tmp_path / "mine.pt")
    assert done["max_abs_difference"] < 1e-3
    recordings = open_data(tmp_path / "film")
    before, after = (
        evaluate(SFCNetDetector(archive, dtype=torch.float32, score_threshold=0.02), recordings)
        for archive in (shipped_archive("lite"), tmp_path / "mine.pt")
    )
    for key, least in (("f1_10px", 80.0), ("ap50", 70.0)):
        assert float(str(after[key])) > max(float(str(before[key])) - 5.0, least), key
    # Nothing was said of pixels; what it knew of them is still there.
    assert float(str(after["binary"]["dice"])) > float(str(before["binary"]["dice"])) - 5.0


def test_scenes_that_run_can_be_sent_to_a_loaders_process() -> None:
    crops = SceneCrops(SpecimenCrops(3, (64, 64), 0.5, 0.0), 1.0)
    first = crops[5]
    sent = pickle.loads(pickle.dumps(crops))
    assert (sent[5].image == first.image).all()


def test_rehearsal_mixes_specimens_in() -> None:
    class Numbered(torch.utils.data.Dataset):
        def __init__(self, sign: int) -> None:
            self.sign, self.seed = sign, 4

        def __getitem__(self, index: int) -> int:
            return self.sign * (index + 1)

    mixed = RehearsedCrops(Numbered(1), Numbered(-1), 0.25)
    drawn = [mixed[k] for k in range(400)]
    assert [abs(v) for v in drawn] == list(range(1, 401))
    assert sum(v < 0 for v in drawn) == pytest.approx(100, abs=30)


def test_the_bar_tells_loss_score_and_time_left() -> None:
    stream = io.StringIO()
    with TrainingBar(0.0, shown=True, stream=stream) as bar:
        bar.scored(81.25)
        bar.moved(7, 0.5, {"classes": 1.0, "boxes": 0.5})
    text = stream.getvalue()
    assert "50%" in text
    assert "step 7, loss 1.500, AP50 81.2, 0 min 0" in text
    assert text.rstrip().endswith("left")
    hidden = io.StringIO()
    with TrainingBar(0.0, stream=hidden) as bar:
        bar.moved(7, 0.5, {"classes": 1.0})
    assert hidden.getvalue() == ""
    assert duration(7500) == "2 h 05 min left"
    assert duration(float("inf")) == "time left unknown"


def test_processes_share_each_batch() -> None:
    crops = SpecimenCrops(3, (32, 32), 0.0, 0.0)
    shares = [ShareOf(crops, 4, Processes(rank, 2)) for rank in (0, 1)]
    # Batch 1 of four is samples 4 to 7: two for each.
    seen = [shares[0][2], shares[0][3], shares[1][2], shares[1][3]]
    for k, crop in enumerate(seen):
        assert (crop.image == crops[4 + k].image).all()
    with pytest.raises(ModelError, match="a batch of 3 cannot be shared by 2"):
        ShareOf(crops, 3, Processes(0, 2))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_processes_train_one_network(tmp_path) -> None:
    """Process 0 compares the weights of both before it writes them."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
        "--master-addr=127.0.0.1", f"--master-port={free_port()}",
        "-m", "models.training.train", "--out", str(tmp_path), "--steps", "2", "--batch", "2",
        "--crop-px", "64", "--workers", "0", "--check-every", "2", "--check-frames", "0",
        "--scene-share", "0",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if os.name == "nt":
        environment["USE_LIBUV"] = "0"  # torch for Windows is built without it
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("step 2 ") == 1
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert state["step"] == 2
    assert all(torch.isfinite(v).all() for v in state["network"].values())


@pytest.mark.parametrize("only", ["segmentation", "detection"])
def test_what_is_not_trained_stays_as_it_was_bit_by_bit(tmp_path, only):
    archive = export_random(tmp_path / "start.pt")
    settings = replace(
        SMALL, only=only, detect_every=1, losses="whole sperm", head_pointers=only == "segmentation"
    )
    crops = SpecimenCrops(5, (64, 64), 0.5, 0.2)
    trainer = Trainer(settings)
    trainer.start_from(archive, crops)
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    run(settings, tmp_path / "run", init=archive)
    after = torch.load(tmp_path / "run" / WEIGHTS, weights_only=True)["average"]
    parts = {"segmentation": ("segmentation", "head_pointers"), "detection": ("detection",)}[only]
    changed = {k.partition(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}
    assert changed
    assert changed <= set(parts)
    assert any(k.startswith("head_pointers.") for k in after) == (only == "segmentation")


def test_a_part_that_is_not_known_or_not_there():
    with pytest.raises(ModelError, match="choose segmentation or detection"):
        Trainer(replace(SMALL, only="tails"))
    with pytest.raises(ModelError, match="task 'segment' has no detection"):
        Trainer(replace(SMALL, only="detection", task="segment"))
