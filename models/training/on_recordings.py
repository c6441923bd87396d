"""Weights that never saw a recording, beside thresholding that never saw one, in the same run.

``python -m models.training.on_recordings --data DIR... [--fit-on RECORDING] [--weights W]`` prints
one table: scores of both on each folder, as the boxes come, and with one factor on their size that
was fitted on a recording which is then left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.detector import Detector
from models.errors import exit_code_of
from models.sfcnet.manifest import shipped_archive
from models.sfcnet.runtime import SFCNetDetector
from models.training.datasets import open_data
from models.training.evaluation import SPARSE, evaluate, fitted_box_scale
from models.training.labelled_frames import LabelledFrames
from models.training.paper_layout import markdown
from models.training.specimen_threshold import specimen_threshold

# Average precision needs the whole curve, down to weak detections.
_LEAST_SCORE = 0.02
_KEYS = ("ap50", "ap75", "ap", "f1_10px", "recall_10px", "recall_10px_sparse", "centre_error_px")
COLUMNS = (
    "box factor", "frames", "AP50", "AP75", "AP", "F1 within 10 px", "recall",
    f"recall at {SPARSE} a frame", "centre error/px",
)  # fmt: skip


def beside_thresholding(
    detectors: Sequence[Detector], folders: Sequence[Path], fit_on: str | None = None
) -> str:
    """Return the table in Markdown, every detector on every folder.

    Parameters
    ----------
    detectors : sequence of Detector
    folders : sequence of Path
        See ``datasets.open_data``.
    fit_on : str, optional
        A recording, by the last part of its name: in its folder the factor is fitted on it, and
        scores are of the others.

    Raises
    ------
    DataError
        Bad data.
    """
    rows: list[tuple[str, Sequence[str]]] = []
    for folder in folders:
        recordings = open_data(Path(folder))
        fitted = [r for r in recordings if _last(r) == fit_on]
        scored = [r for r in recordings if _last(r) != fit_on] or recordings
        names = ", ".join(_last(r) for r in scored)
        for detector in detectors:
            name = f"{names}: {detector.name}"
            rows.append((name, _cells(evaluate(detector, scored))))
            if fitted and len(scored) < len(recordings):
                scale = fitted_box_scale(detector, fitted)
                rows.append((name, _cells(evaluate(detector, scored, box_scale=scale))))
    return markdown(COLUMNS, rows)


def _last(recording: LabelledFrames) -> str:
    return recording.name.rpartition("/")[2]


def _cells(scores: Mapping[str, object]) -> list[str]:
    values = [scores[key] for key in _KEYS]
    shown = [f"{v:.1f}" if isinstance(v, float) else "-" for v in values[:-1]]
    error = values[-1]
    last = f"{error:.2f}" if isinstance(error, float) else "-"
    return [f"{scores['box_scale']}", f"{scores['frames']}", *shown, last]


def main() -> int:
    """Print the table; 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--fit-on", metavar="RECORDING")
    parser.add_argument("--weights", type=Path, help="TorchScript archive; default: as shipped")
    parser.add_argument("--device", default="cpu")
    return exit_code_of(lambda: _print_table(parser.parse_args()))


def _print_table(given: argparse.Namespace) -> None:
    archive = given.weights or shipped_archive("lite")
    network = SFCNetDetector(archive, device=given.device, score_threshold=_LEAST_SCORE)
    detectors: list[Detector] = [network, specimen_threshold()]
    print(beside_thresholding(detectors, given.data, given.fit_on))


if __name__ == "__main__":
    raise SystemExit(main())
