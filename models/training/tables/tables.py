"""Which cells make which table, and how it is set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from models.detector import Detector
from models.errors import ModelError
from models.resampled import ResampledDetector
from models.training.baselines.registry import DETECTORS, SEGMENTERS, SFCNET
from models.training.evaluation import evaluate
from models.training.paper_layout import (
    DETECTION_COLUMNS,
    SEGMENTATION_COLUMNS,
    TABLE_I,
    TABLE_II,
    TABLE_IV,
    TABLE_V,
    markdown,
)
from models.training.specimen_threshold import specimen_threshold
from models.training.tables.budget import Budget
from models.training.tables.cell import Cell, Cells, write_json
from models.training.tables.exam import exam_set
from models.training.tables.figures import fig_6, fig_8
from models.training.tables.pool import crop_pool

NAMES = ("I", "II", "IV", "V", "6", "8")
_SEGMENTATION_KEYS = ("dice", "miou", "e_measure", "sensitivity", "precision")
_DETECTION_KEYS = ("ap", "ap50", "ap75", "fps", "gmacs", "params_m")
_CLASSICAL = "thresholding"
_TRAINED_AT = 20
Say = Callable[[str], None]
Scores = Mapping[str, object]


def check_names(names: Sequence[str]) -> None:
    """Raise ModelError for a table that is not known."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ModelError(f"tables: {unknown[0]!r} is none; choose {', '.join(NAMES)}")


class Tables:
    """Tables of one budget in one folder. Cells that are there are not trained again.

    Parameters
    ----------
    out : Path
    budget : Budget
    say : callable
        Takes lines of progress.
    """

    def __init__(self, out: Path, budget: Budget, say: Say) -> None:
        self.out = out
        self.budget = budget
        self.say = say
        out.mkdir(parents=True, exist_ok=True)
        self.cells = Cells(out, budget, crop_pool(out, budget, say))

    def run(self, names: Sequence[str] = NAMES) -> str:
        """Return the tables named, in Markdown; they are written to ``tables.md``, too.

        Raises
        ------
        ModelError
            A table that is not known.
        """
        check_names(names)
        makers = {"I": self.table_i, "II": self.table_ii, "IV": self.table_iv, "V": self.table_v,
                  "6": self.fig_6, "8": self.fig_8}  # fmt: skip
        parts = [self._heading()]
        for name in names:
            parts.append(makers[name]())
            # Whatever comes later: what is finished can be read.
            (self.out / "tables.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        return "\n\n".join(parts)

    def _heading(self) -> str:
        b = self.budget
        return (
            f"Every network at reduced width: {b.minutes:g} minutes of training at most, "
            f"{b.pool} crops of {b.crop_px}x{b.crop_px} px of the specimen, scored on "
            f"{b.exam_scenes} scenes it never saw, half in bright field, half in phase contrast. "
            "Mean ± standard deviation where there is more than one seed. The paper's figures are "
            "of its own, private data."
        )

    def scores(self, cell: Cell) -> Scores:
        """Return the scores of a cell, with a line if it must be trained."""
        if not self.cells.known(cell):
            self.say(f"training {cell.slug}")
        return self.cells.scores(cell)

    def _seeds(self, cell: Cell) -> list[Scores]:
        return [
            self.scores(Cell(cell.method, cell.task, seed=seed))
            for seed in range(1, self.budget.seeds + 1)
        ]

    def _compared(
        self, methods: Sequence[str], task: str, by: str
    ) -> list[tuple[str, list[Scores]]]:
        """Train all once, and the best of them and SFCNet with every seed."""
        first = {m: self.scores(Cell(m, task)) for m in methods}
        best = max(methods, key=lambda m: float(str(first[m][by])))
        rows = [(m, self._seeds(Cell(m, task)) if m == best else [first[m]]) for m in methods]
        return [*rows, (SFCNET, self._seeds(Cell(SFCNET, task)))]

    def table_i(self) -> str:
        """Set the segmentation of every method."""
        rows: list[tuple[str, Sequence[str]]] = []
        for name, found in self._compared(SEGMENTERS, "segment", "dice"):
            if name in TABLE_I:
                paper = [f"{v:.2f}" for v in TABLE_I[name]]
                rows.append((f"{name}, paper", [*paper, *["-"] * 4]))
            extra = [_mean(found, "foreground", "dice"), _mean(found, "binary", "dice"),
                     _mean(found, "gmacs"), _mean(found, "params_m")]  # fmt: skip
            rows.append((f"{name}, here", [*(_mean(found, k) for k in _SEGMENTATION_KEYS), *extra]))
        columns = (*SEGMENTATION_COLUMNS, "foreground Dice", "binary Dice", "GMAC", "M")
        return "**Table I: segmentation, %**\n\n" + markdown(columns, rows)

    def table_ii(self) -> str:
        """Set the detection of every method, and of thresholding."""
        found = self._compared(DETECTORS, "detect", "ap50")
        found.append((_CLASSICAL, [self._classical()]))
        paper = [f"{v:.2f}" for v in TABLE_II[SFCNET]]
        rows: list[tuple[str, Sequence[str]]] = [(f"{SFCNET}, paper", [*paper, "-", "-"])]
        for name, scores in found:
            keys = (*_DETECTION_KEYS, "f1_10px", "centre_error_px")
            rows.append((f"{name}, here", [_mean(scores, k) for k in keys]))
        columns = (*DETECTION_COLUMNS, "F1 within 10 px", "centre error/px")
        return "**Table II: detection, %**\n\n" + markdown(columns, rows)

    def _classical(self) -> Scores:
        file = self.cells.folder / f"{_CLASSICAL}.json"
        if not file.is_file():
            self.say(f"scoring {_CLASSICAL}")
            write_json(file, evaluate(specimen_threshold(), exam_set(self.budget.exam_scenes)))
        content: Scores = json.loads(file.read_text(encoding="utf-8"))
        return content

    def table_iv(self) -> str:
        """Set the ablation of guide and fusion, both tasks on one encoder."""
        rows: list[tuple[str, Sequence[str]]] = []
        for (guide, resize), paper in TABLE_IV.items():
            found = [self.scores(Cell(SFCNET, "joint", guide, resize))]
            cells = [*(f"{v:.2f}" for v in paper), _mean(found, "dice"), _mean(found, "ap50"),
                     _mean(found, "binary", "dice"), _mean(found, "gmacs")]  # fmt: skip
            rows.append((f"guide from S{guide}, resized to S{resize}", cells))
        columns = ("Dice, paper", "AP50, paper", "Dice", "AP50", "binary Dice", "GMAC")
        return "**Table IV: ablation, %**\n\n" + markdown(columns, rows)

    def table_v(self) -> str:
        """Set the scores of one network, trained at 20x and near it, on other objectives.

        As they are, and with frames shrunk to what 20x would show.
        """
        rows: list[tuple[str, Sequence[str]]] = []
        for objective, paper in TABLE_V.items():
            ways = (False,) if objective == _TRAINED_AT else (False, True)
            for shrunk in ways:
                found = self._objective(objective, shrunk)
                heads = float(str(found["heads"])) / float(str(found["frames"]))
                published = ["-", "-"] if shrunk else [f"{v:.2f}" for v in paper]
                cells = [*published, f"{heads:.1f}", _mean([found], "dice"),
                         _mean([found], "ap50"), _mean([found], "f1_10px")]  # fmt: skip
                name = f"{objective}x, shrunk to {_TRAINED_AT}x" if shrunk else f"{objective}x"
                rows.append((name, cells))
        columns = ("Dice, paper", "AP50, paper", "heads a frame", "Dice", "AP50", "F1 within 10 px")
        return "**Table V: magnification, %**\n\n" + markdown(columns, rows)

    def _objective(self, objective: int, shrunk: bool) -> Scores:
        cell = Cell(SFCNET, "joint")
        if objective == _TRAINED_AT:
            return self.scores(cell)
        end = "x-shrunk" if shrunk else "x"
        file = self.cells.folder / f"{cell.slug}-{objective}{end}.json"
        if not file.is_file():
            self.say(f"scoring {file.stem}")
            scenes = exam_set(self.budget.exam_scenes, objective)
            detector: Detector = self.cells.detector(cell)
            if shrunk:
                detector = ResampledDetector(detector, _TRAINED_AT / objective)
            write_json(file, evaluate(detector, scenes))
        content: Scores = json.loads(file.read_text(encoding="utf-8"))
        return content

    def fig_6(self) -> str:
        """Set the errors of morphometry of every method that segments."""
        cells = [Cell(m, "segment") for m in (*SEGMENTERS, SFCNET)]
        return fig_6(self.cells, cells, self.scores, self.say)

    def fig_8(self) -> str:
        """Set the errors of motility of every method that detects."""
        cells = [Cell(m, "detect") for m in (*DETECTORS, SFCNET)]
        return fig_8(self.cells, cells, self.scores, self.say)


def _mean(found: Sequence[Scores], *keys: str) -> str:
    """Return the mean of a score over seeds, with its standard deviation where there are two."""
    values = []
    for scores in found:
        value: object = scores
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int | float):
            values.append(float(value))
    if not values:
        return "-"
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.2f}"
