"""The card of an archive, from its entry in the manifest: data, seeds, schedule, scores, limits.

``python -m models.training.model_card models/weights/sfcnet-lite.pt`` writes ``sfcnet-lite.md``
beside the archive; ``models.training.release`` does it for what it writes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from models.errors import exit_code_of
from models.sfcnet.manifest import Entry, trusted_entry
from models.training.paper_layout import markdown

_SETTINGS = (
    "seed", "batch", "crop_px", "peak_rate", "last_rate", "warm_up", "weight_decay", "decay",
    "optimiser", "schedule", "losses", "exam_share", "scene_share", "phase_share", "rehearsal",
)  # fmt: skip
_SCORES = (
    "ap50", "ap75", "ap", "f1_10px", "centre_error_px", "dice", "miou", "e_measure", "sensitivity",
    "precision",
)  # fmt: skip
_LIMITS = """\
* The classes are those of the specimen model: normal and abnormal as it draws them. No pathologist
  has checked them on a patient's sample. Not a medical device; nothing it says replaces looking.
* Trained at 20x and near it, heads of 7 to 20 px. On other optics score it on frames of your own
  first (`sfcscope evaluate --data DIR`), and tune it with 30 to 60 of them.
* Recordings were only ever scored on: the README beside this card says how it does there, what it
  misses and what it takes for sperm."""


def model_card(entry: Entry) -> str:
    """Return the card in Markdown."""
    facts = entry.provenance
    lines = [
        f"# {Path(entry.file).stem}", "",
        f"SFCNet {entry.variant}, task {entry.task}, {facts.get('params_m', '?')} M parameters, "
        f"{facts.get('gmacs_640x480', '?')} GMAC at 640x480. Stored in "
        f"{'half' if entry.half else 'single'} precision; sha256 `{entry.sha256[:16]}`. Detections "
        f"that score below {entry.score_threshold:g} are not reported.", "",
        "## Data and schedule", "",
        *_training(facts), "",
        f"Scores: specimens {facts.get('exam_seeds', 'not told')}. Score threshold and background "
        f"margin ({facts.get('background_margin', 0.0)}): specimens "
        f"{facts.get('calibration_seeds', 'not told')}.", "",
        "## Scores, percent (centre error: px)", "",
        _scores(entry.scores), "",
        "## Limits", "", _LIMITS, "",
    ]  # fmt: skip
    return "\n".join(lines)


def _training(facts: Mapping[str, object]) -> Iterator[str]:
    """Tell the trainings that came one after the other, the first one first."""
    before = facts.get("before")
    if isinstance(before, Mapping):
        yield from _training(before)
    settings = facts.get("settings")
    known = settings if isinstance(settings, Mapping) else {}
    start = f"from {facts['start']}, " if "start" in facts else ""
    shown = ", ".join(f"{name} {known[name]}" for name in _SETTINGS if name in known)
    yield (
        f"* {start}{facts.get('steps', '?')} steps of {facts.get('data', 'data not told')}; "
        f"{shown} (commit {facts.get('commit', '?')}, torch {facts.get('torch', '?')})"
    )


def _scores(scores: Mapping[str, object]) -> str:
    rows = []
    for name, table in scores.items():
        if isinstance(table, Mapping):
            cells = [str(table.get(key, "-")) for key in _SCORES]
            rows.append((f"{name}, {table.get('frames')} frames", cells))
    return markdown(_SCORES, rows) if rows else "None were taken."


def write_card(archive: Path) -> Path:
    """Write the card beside an archive; return its path.

    Raises
    ------
    WeightsError
        The archive is missing or stands in no manifest.
    """
    card = archive.with_suffix(".md")
    card.write_text(model_card(trusted_entry(archive)), encoding="utf-8")
    return card


def _write_cards() -> None:
    for name in sys.argv[1:]:
        print(write_card(Path(name)))


def main() -> int:
    """Write the cards of the archives named; 2 for a user's mistake."""
    return exit_code_of(_write_cards)


if __name__ == "__main__":
    raise SystemExit(main())
