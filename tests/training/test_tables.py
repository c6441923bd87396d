"""The tables with cells of two steps: everything is run, nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.threshold import ThresholdDetector
from models.training.tables import cell as cell_module
from models.training.tables.budget import Budget
from models.training.tables.cell import Cell, Cells, trained
from models.training.tables.figures import motion_errors, shape_errors
from models.training.tables.pool import crop_pool
from models.training.tables.tables import Tables
from models.types import Detections, Perception

ROOT = Path(__file__).resolve().parents[2]
TINY = Budget(minutes=10, steps=2, batch=2, crop_px=64, pool=4, exam_scenes=2, seeds=2,
              film_frames=8)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def test_tables_are_set_and_no_cell_is_trained_twice(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    text = Tables(out, TINY, said.append).run(["I", "II"])
    trained = [line for line in said if line.startswith("training")]
    # Four segmenters and two detectors once, the best of each and SFCNet with both seeds.
    assert len(trained) == len(set(trained)) == (4 + 1 + 2) + (2 + 1 + 2)
    lines = text.splitlines()
    assert sum(line.startswith("| SFCNet, here |") and "±" in line for line in lines) == 2
    assert any(line.startswith("| HRNet, paper | 59.95 |") for line in lines)
    assert any(line.startswith("| thresholding, here |") for line in lines)
    assert (out / "tables.md").read_text() == text + "\n"

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(cell_module, "trained", never)
    said.clear()
    assert Tables(out, TINY, said.append).run(["I", "II"]) == text
    assert said == []


def test_a_cell_gives_its_trained_network_back(out: Path) -> None:
    cells = Cells(out, TINY, Tables(out, TINY, print).cells.pool)
    cell = Cell("HRNet", "segment")
    scores = cells.scores(cell)
    assert (scores["steps"], scores["cell"]["method"]) == (2, "HRNet")
    assert scores["params_m"] == pytest.approx(0.81, abs=0.01)
    state = torch.load(cells.folder / f"{cell.slug}.pt", weights_only=True)
    network = cells.detector(cell).network
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    perception = cells.detector(cell).detect(np.full((50, 70), 128, np.uint8))
    assert perception.class_map is not None
    assert perception.class_map.shape == (50, 70)


def test_a_budget_of_steps_gives_the_same_cell_on_every_run(out: Path) -> None:
    pool = crop_pool(out, TINY, print)
    cell = Cell("SFCNet", "joint", seed=4)
    one, other = (trained(cell, TINY, pool) for _ in range(2))
    assert one[1]["steps"] == other[1]["steps"] == TINY.steps
    assert one[1]["loss"] == other[1]["loss"]
    states = one[0].state_dict(), other[0].state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_another_budget_has_cells_of_its_own(out: Path) -> None:
    assert replace(TINY, minutes=5).digest != TINY.digest
    assert replace(TINY, seeds=9).digest == TINY.digest
    cells = [
        Cell("UNet", "segment"), Cell("UNet++", "segment"), Cell("UNet", "segment", seed=2),
        Cell("UNet", "segment", guide_start=2),
    ]  # fmt: skip
    names = {cell.slug for cell in cells}
    assert len(names) == 4
    with pytest.raises(ModelError, match="'III' is none; choose I, II, IV, V, 6, 8"):
        Tables(out, TINY, print).run(["III"])


@pytest.mark.parametrize("change", [{"batch": 1}, {"crop_px": 100}, {"pool": 0}, {"minutes": 0.0}])
def test_a_budget_that_trains_nothing_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="tables: "):
        replace(TINY, **change)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ablation_magnification_and_figures(out: Path) -> None:
    text = Tables(out, TINY, print).run(["IV", "V", "6", "8"])
    assert text.count("| guide from S") == 8
    for start in ("20x", "40x", "100x"):
        assert f"| {start} |" in text
    assert "| 100x, shrunk to 20x |" in text
    assert "Fig. 6" in text
    assert "| thresholding, here |" in text


class Truthful:
    """Says what is true of the frames of one specimen: no method can err less."""

    name = "truth"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from models.training.tables import figures

        seen = figures._seen

        def remembered(specimen, time_s):
            image, _ = seen(specimen, time_s)
            self.truth = specimen.truth(time_s, np.zeros(2), masks=True)
            return image, self.truth

        monkeypatch.setattr(figures, "_seen", remembered)

    def warm_up(self, height_px: int, width_px: int) -> None:
        pass

    def detect(self, image: np.ndarray) -> Perception:
        truth = self.truth
        box_px = np.hstack([truth.position_px, truth.box_px[:, 2:]])[truth.visible]
        found = Detections(box_px.astype(np.float32), np.ones(len(box_px), np.float32),
                           truth.label[truth.visible])  # fmt: skip
        return Perception(found, truth.class_map, truth.part_map)


def test_true_heads_give_true_motility(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = motion_errors(Truthful(monkeypatch), 30, 0.5)
    assert len(errors["vsl_um_s"]) >= 4
    for column in ("vsl_um_s", "vcl_um_s", "vap_um_s"):
        assert np.median(errors[column]) < 1.0


def test_true_maps_give_heads_within_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = shape_errors(Truthful(monkeypatch), 2)
    assert len(errors["head_area_um2"]) >= 5
    # Maps of whole pixels: a head is 6 by 9 of them.
    assert np.median(errors["head_length_um"]) < 15
    assert np.median(errors["head_angle_deg"]) < 20


def test_a_detector_without_maps_measures_no_shape() -> None:
    assert all(not values for values in shape_errors(ThresholdDetector(), 1).values())


def test_the_script_tells_a_mistake_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "tables.py"), "--out", str(tmp_path), "--tables",
         "VII", "--pool", "1", "--crop-px", "32"],
        capture_output=True, text=True, timeout=110, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "'VII' is none" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_results_are_plain_files(out: Path) -> None:
    folder = out / f"cells-{TINY.digest}"
    for file in folder.glob("*.json"):
        json.loads(file.read_text())
    assert not list(folder.glob("*.part"))
