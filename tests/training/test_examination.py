"""The examination: its scenes are written once, and who knows the truth passes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.specimen.profiles import profile
from models.specimen.recording import ANNOTATIONS
from models.specimen.scene import Specimen
from models.training.datasets import open_data
from models.training.evaluation import specimen_frame
from models.training.examination import (
    FIRST_SEED,
    centre_errors,
    scored,
    seeds_of,
    write_scenes,
)
from models.types import Detections, Perception

SCENES, DENSITY = 2, 9.0


class Knower:
    """Says what is true of the scenes; its boxes lie ``off_px`` to the right."""

    name = "knower"

    def __init__(self, off_px: float = 0.0) -> None:
        self.answers: dict[bytes, Perception] = {}
        for modality in ("brightfield", "phase"):
            chosen = profile("exam", modality=modality, density=DENSITY)
            for seed in seeds_of(modality, SCENES):
                specimen = Specimen(chosen, seed)
                frame = specimen_frame(specimen, 0.0)
                truth = specimen.truth(0.0, np.zeros(2))
                box_px = frame.box_px.copy()
                whole = np.isin(frame.sperm_id, truth.sperm_id[truth.whole])
                for row in np.nonzero(whole)[0]:
                    own = truth.sperm_id == frame.sperm_id[row]
                    box_px[row, :2] = truth.position_px[own][0] + [off_px, 0.0]
                found = Detections(box_px.astype(np.float32),
                                   np.ones(len(box_px), np.float32), frame.label)  # fmt: skip
                self.answers[frame.image.tobytes()] = Perception(
                    found, frame.class_map, frame.part_map
                )

    def warm_up(self, height_px: int, width_px: int) -> None:
        pass

    def detect(self, image: np.ndarray) -> Perception:
        return self.answers[image.tobytes()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_scenes(tmp_path_factory.mktemp("exam"), SCENES, DENSITY)


def test_scenes_take_turns_and_are_sixty() -> None:
    bright, phase = seeds_of("brightfield"), seeds_of("phase")
    assert len(bright) == len(phase) == 30
    assert sorted([*bright, *phase]) == list(range(FIRST_SEED, FIRST_SEED + 60))


def test_scenes_are_written_once_and_read_as_labelled_data(folders: list[Path]) -> None:
    files = [next(folder.glob(f"*/{ANNOTATIONS}")) for folder in folders]
    before = [file.stat().st_mtime_ns for file in files]
    write_scenes(folders[0].parent, SCENES, DENSITY)
    assert [file.stat().st_mtime_ns for file in files] == before
    assert [len(open_data(folder)) for folder in folders] == [1, 1]


def test_who_knows_the_truth_scores_100(folders: list[Path]) -> None:
    lines = scored(Knower(), folders).splitlines()
    assert lines[2].startswith("| SFCNet in the paper | 64.14 |")
    assert [line.split(" | ")[0] for line in lines[3:]] == [
        "| knower, all", "| brightfield", "| phase"
    ]  # fmt: skip
    for line in lines[3:]:
        dice, *_, ap50, ap75, _, f1, _ = line.strip("| ").split(" | ")[1:]
        assert dice == ap50 == ap75 == f1 == "100.00"


@pytest.mark.parametrize("off_px", [0.0, 2.0])
def test_centres_are_compared_with_where_the_heads_are(off_px: float) -> None:
    errors = centre_errors(Knower(off_px), "brightfield", 0.5, SCENES, DENSITY)
    assert len(errors["box"]) >= 4
    assert errors["box"] == pytest.approx(off_px, abs=1e-4)
    # The map does not move with the boxes; whole pixels and lopsided heads leave a rest.
    assert errors["soft map"].mean() < 0.4
