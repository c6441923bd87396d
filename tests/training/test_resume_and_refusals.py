"""A training that is resumed is the one that was begun; what cannot be trained is one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.sfcnet.export import export, export_random
from models.sfcnet.manifest import sha256_of
from models.specimen.recording import write_recording
from models.training import train as train_module
from models.training.checkpoint import resumed_settings
from models.training.convert import convert
from models.training.labelled_frames import LabelledFrame
from models.training.lessons import check_lessons
from models.training.processes import speaks
from models.training.settings import TrainSettings, preset
from models.training.train import main, train
from models.training.trainer import CHECKPOINT, WEIGHTS, Trainer

QUICK = {
    "batch": 2, "crop_px": 64, "workers": 0, "check_every": 2, "check_frames": 0, "warm_up": 1,
    "scene_share": 0.0,
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Return a folder of one frame with boxes alone."""
    write_recording(tmp_path / "film", frames=1, seed=61)
    convert([tmp_path / "film"], tmp_path / "boxes", to="voc")
    return tmp_path / "boxes"


def begun(folder: Path, settings: TrainSettings) -> Path:
    folder.mkdir()
    Trainer(settings).save(folder)
    return folder


def state_of(folder: Path) -> dict:
    return torch.load(folder / CHECKPOINT, weights_only=True)


def test_a_fine_tuning_that_is_resumed_stays_one(boxes: Path, tmp_path: Path) -> None:
    archive = export_random(tmp_path / "start.pt", seed=9)
    out = tmp_path / "run"
    train("joint", [boxes], out, init=archive, steps=2, **QUICK)
    first = state_of(out)
    # Without --init, as after an interruption, and for two steps more.
    result = train("joint", [boxes], out, resume=True, steps=4)
    second = state_of(out)
    assert (result["steps"], second["settings"]["steps"]) == (4, 4)
    for name in ("preset", "peak_rate", "rehearsal", "minutes", "crop_px", "decay"):
        assert second["settings"][name] == first["settings"][name], name
    assert second["settings"]["preset"] == "tune"
    assert second["settings"]["rehearsal"] == 0.4
    assert second["origin"] == first["origin"]
    assert first["origin"]["begun_from"] == {"file": "start.pt", "sha256": sha256_of(archive)}
    assert first["origin"]["labelled"] == {"folders": ["boxes"], "frames": 1}
    assert str(tmp_path) not in str(first["origin"])
    # Other frames, and other weights, are another training.
    with pytest.raises(ModelError, match=r"was begun on 1 labelled frames of boxes.*not on spec"):
        train("joint", [], out, resume=True)
    other = export_random(tmp_path / "other.pt", seed=10)
    with pytest.raises(ModelError, match=r"was begun with start\.pt .*, not with other\.pt"):
        train("joint", [boxes], out, resume=True, init=other)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"batch": 4}, "batch 8, not 4"),
        ({"peak_rate": 1e-2}, "peak_rate 0.0005, not 0.01"),
        ({"steps": 5}, "steps 2000, not 5"),
        ({"minutes": 3.0}, "minutes 25.0, not 3.0"),
        ({"task": "detect"}, "task joint, not detect"),
        ({"preset": "paper"}, "preset tune, not paper"),
    ],
)
def test_words_that_contradict_a_checkpoint_are_refused(tmp_path, told, words) -> None:
    out = begun(tmp_path / "run", preset("tune"))
    before = (out / CHECKPOINT).read_bytes()
    with pytest.raises(ModelError, match=f"was begun with {words}") as error:
        train(told.pop("task", "joint"), [], out, resume=True, **told)
    assert "\n" not in str(error.value)
    assert (out / CHECKPOINT).read_bytes() == before


def test_what_may_be_told_again(tmp_path) -> None:
    out = begun(tmp_path / "run", preset("tune"))
    held = preset("tune")
    assert resumed_settings(out, None, None, {}) == held
    # Preset lite became a fine-tuning by its weights and folders.
    assert resumed_settings(out, "joint", "lite", {"batch": 8}) == held
    longer = resumed_settings(out, "joint", "tune", {"minutes": 50.0, "steps": 3000, "workers": 0})
    assert (longer.minutes, longer.steps, longer.workers, longer.rehearsal) == (50.0, 3000, 0, 0.4)
    of_frames = begun(tmp_path / "passes", preset("paper", "segment").__class__(epochs=3, steps=6))
    assert resumed_settings(of_frames, None, None, {}).epochs == 3
    assert resumed_settings(of_frames, None, None, {"steps": 7}).epochs is None
    # Of an earlier version, which did not note the preset.
    state = state_of(out)
    del state["settings"]["preset"]
    torch.save(state, out / CHECKPOINT)
    assert resumed_settings(out, "joint", "tune", {}).peak_rate == held.peak_rate


def test_a_training_is_not_written_over(tmp_path) -> None:
    out = begun(tmp_path / "run", TrainSettings(**QUICK))
    held = {name: (out / name).read_bytes() for name in (CHECKPOINT, WEIGHTS)}
    with pytest.raises(ModelError, match="add --resume to go on with it"):
        train("joint", [], out, steps=1, **QUICK)
    (out / CHECKPOINT).unlink()
    with pytest.raises(ModelError, match=r"weights\.pt: a training stands there already"):
        train("joint", [], out, steps=1, **QUICK)
    assert (out / WEIGHTS).read_bytes() == held[WEIGHTS]


def frame(**given: object) -> LabelledFrame:
    none = {"box_px": np.zeros((0, 4)), "label": np.zeros(0, np.int8)}
    return LabelledFrame(np.zeros((40, 60), np.uint8), **{**none, **given})


BOX = {"box_px": np.array([[9.0, 9.0, 4.0, 4.0]]), "label": np.zeros(1, np.int8)}
OUTLINE = {
    "class_map": np.zeros((40, 60), np.uint8),
    "ignored_px": np.array([[29.5, 19.5, 60.0, 40.0]]),
}


def test_nothing_to_learn_is_said_before_the_start(boxes: Path, tmp_path: Path, caplog) -> None:
    with pytest.raises(ModelError, match=r"no outline of a sperm in 1 labelled frames.*segment"):
        train("segment", [boxes], tmp_path / "run", steps=1, **QUICK)
    assert not list((tmp_path / "run").iterdir())
    detect = TrainSettings(task="detect")
    with pytest.raises(ModelError, match="no rectangle of a head"):
        check_lessons(detect, [frame(**OUTLINE)])
    # An empty field teaches that there is nothing; specimens beside folders teach what these lack.
    check_lessons(detect, [frame()])
    check_lessons(TrainSettings(), [frame(**BOX), frame(**OUTLINE)])
    assert not caplog.records
    check_lessons(TrainSettings(rehearsal=0.4), [frame(**BOX)])
    (line,) = [r.getMessage() for r in caplog.records]
    assert line.endswith("specimens alone teach it (segmentation)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "0"], "steps is 0; it must be 1 or more"),
        (["--steps", "-3"], "steps is -3"),
        (["--batch", "0"], "batch is 0"),
        (["--crop-px", "50"], "crop_px is 50; it must be a multiple of 32"),
        (["--losses", "nope"], "losses 'nope' is unknown; choose full, paper or whole sperm"),
        (["--device", "meta"], "device 'meta': unknown; use cpu or cuda"),
        (["--device", "mps"], "device 'mps': unknown; use cpu or cuda"),
        (["--out", "FILE"], "cannot be a folder for a training"),
        (["--init", "FILE"], "no weights of a training"),
        (["--resume"], "cannot be read"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    tmp_path, monkeypatch, capsys, words: list[str], said: str
) -> None:
    file = tmp_path / "a text"
    file.write_text("hello")
    run = tmp_path / "run"
    run.mkdir()
    if words == ["--resume"]:
        (run / CHECKPOINT).write_text("hello")
    given = [str(file) if word == "FILE" else word for word in words]
    out = [] if "--out" in words else ["--out", str(run)]
    quick = ["--check-frames", "0"]
    monkeypatch.setattr(sys, "argv", ["train", *out, *quick, *given])
    assert main() == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


@pytest.mark.parametrize(("content", "said"), [(b"", "cut short"), (b"hello", "torch wrote")])
def test_what_is_no_weights_file_is_not_exported(tmp_path, content: bytes, said: str) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ModelError, match=f"no weights of a training .*{said}"):
        export(tmp_path / "w.pt", tmp_path / "out.pt")


def test_steps_that_are_named_take_the_place_of_passes_over_the_frames(
    tmp_path, monkeypatch
) -> None:
    asked = []
    monkeypatch.setattr(train_module, "run", lambda settings, *_, **__: asked.append(settings))
    for given in ({"steps": 5}, {"steps": 5, "epochs": 2}, {}):
        train("segment", [tmp_path], tmp_path / "run", preset="paper", **given)
    assert [(s.steps, s.epochs) for s in asked] == [(5, None), (5, 2), (2950, 100)]


def test_one_process_of_several_speaks(monkeypatch, capsys) -> None:
    monkeypatch.setattr(train_module, "train", lambda **_: {"ap50": None})
    monkeypatch.setattr(sys, "argv", ["train", "--out", "run"])
    assert (main(), speaks()) == (0, True)
    assert "ap50" in capsys.readouterr().out
    monkeypatch.setenv("RANK", "1")
    assert (main(), speaks()) == (0, False)
    assert capsys.readouterr().out == ""
