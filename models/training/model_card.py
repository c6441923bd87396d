"""The card of an archive, from its entry in the manifest: data, seeds, schedule, scores, limits.

``python -m models.training.model_card models/weights/sfcnet-lite.pt`` writes ``sfcnet-lite.md``
beside the archive; ``models.training.release`` does it for what it writes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from models.errors import exit_code_of
from models.sfcnet.manifest import SHIPPED, Entry, read_manifest, trusted_entry
from models.training.paper_layout import markdown

_SETTINGS = (
    "seed", "batch", "crop_px", "peak_rate", "last_rate", "warm_up", "weight_decay", "decay",
    "optimiser", "schedule", "losses", "exam_share", "scene_share", "phase_share", "rehearsal",
)  # fmt: skip
_SCORES = (
    "ap50", "ap75", "ap", "f1_10px", "centre_error_px", "dice", "miou", "e_measure", "sensitivity",
    "precision",
)  # fmt: skip
_OPTICS = """\
* Trained at 20x and near it, heads of 7 to 20 px. On other optics score it on frames of your own
  first (`sfcscope evaluate --data DIR`), and tune it with 30 to 60 of them."""
_NO_DEVICE = "Not a medical device; nothing it says replaces looking."
_OF_SPECIMENS = f"""\
* The classes are those of the specimen model: normal and abnormal as it draws them. No pathologist
  has checked them on a patient's sample. {_NO_DEVICE}
{_OPTICS}
"""


def model_card(entry: Entry) -> str:
    """Return the card in Markdown."""
    facts = entry.provenance
    lines = [
        f"# {Path(entry.file).stem}", "",
        f"SFCNet {entry.variant}, task {entry.task}{_cost(facts)}. Stored in "
        f"{'half' if entry.half else 'single'} precision; sha256 `{entry.sha256[:16]}`. Detections "
        f"that score below {entry.score_threshold:g} are not reported.", "",
        "## Data and schedule", "",
        *_training(facts), "",
        _calibration(entry), "",
        "## Scores, percent (centre error: px)", "",
        _scores(entry.scores), "",
        "## Limits", "", _limits(entry), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _cost(facts: Mapping[str, object]) -> str:
    if "params_m" not in facts:
        return ""
    told = f", {facts['params_m']} M parameters, {facts['gmacs_640x480']} GMAC at 640x480"
    counted = facts.get("gmacs_of")
    if isinstance(counted, Mapping):
        told += f" ({', '.join(f'{number} {name}' for name, number in counted.items())})"
    return told


def _calibration(entry: Entry) -> str:
    """Tell what scores and threshold were taken on."""
    facts = entry.provenance
    if "exam_seeds" in facts and entry.scores:
        scores = f"Scores: specimens {facts['exam_seeds']}. "
    else:
        scores = ""
    chosen = facts.get("threshold_from")
    if isinstance(chosen, Mapping):
        names = chosen.get("recordings")
        listed = ", ".join(map(str, names)) if isinstance(names, list) else "?"
        return f"{scores}Score threshold: {chosen.get('frames')} labelled frames of {listed}."
    if chosen is not None:
        return f"{scores}Score threshold: named by {chosen}."
    if "calibration_seeds" not in facts:
        return f"{scores}Score threshold: set on nothing."
    return (
        f"{scores}Score threshold and background margin ({facts.get('background_margin', 0.0)}): "
        f"specimens {facts['calibration_seeds']}."
    )


def _limits(entry: Entry) -> str:
    """Tell what the weights are not good for, by what they were taught on."""
    trainings = list(_lineage(entry.provenance))
    labelled = [facts["labelled"] for facts in trainings if "labelled" in facts]
    if labelled:
        told = "; ".join(
            f"{one['frames']} frames of {', '.join(one['folders'])}"
            for one in labelled
            if isinstance(one, Mapping)
        )
        return (
            f"* Taught on labelled frames: {told}. Scores on these, or on other frames of the same "
            "recordings, say\n  little of the next ones.\n"
            "* The classes are those of these labels where they tell normal from abnormal, and of "
            "the specimen model\n  where specimens were drawn: nothing more has checked them. "
            f"{_NO_DEVICE}\n"
            "* Made for the optics of those frames. On others score it first "
            "(`sfcscope evaluate --data DIR`)."
        )
    if not all("data" in facts for facts in trainings):
        return (
            "* What it was taught on is not told: score it on frames of your own "
            f"(`sfcscope evaluate --data DIR`).\n  {_NO_DEVICE}"
        )
    if any(shipped.sha256 == entry.sha256 for shipped in read_manifest(SHIPPED)):
        last = (
            "* Recordings were only ever scored on: the README beside this card says how it does "
            "there, what it\n  misses and what it takes for sperm."
        )
    else:
        last = "* No recording was trained on."
    noise = (
        "* A picture of white noise over all grey levels has no head for it, but four fifths of "
        "its pixels are called\n  sperm: a map says something only where a specimen is in focus."
    )
    return f"{_OF_SPECIMENS}{last}\n{noise}"


def _lineage(facts: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield what is told of each training, the first one first."""
    before = facts.get("before")
    if isinstance(before, Mapping):
        yield from _lineage(before)
    yield facts


def _training(provenance: Mapping[str, object]) -> Iterator[str]:
    """Tell the trainings that came one after the other, the first one first."""
    for facts in _lineage(provenance):
        settings = facts.get("settings")
        known = settings if isinstance(settings, Mapping) else {}
        start = f"from {facts['start']}, " if "start" in facts else ""
        steps = f"{facts['steps']} steps" if "steps" in facts else "an unknown number of steps"
        data = f" of {facts['data']}" if "data" in facts else ", on data that are not told"
        shown = [f"{name} {known[name]}" for name in _SETTINGS if name in known]
        written = [f"{name} {facts[name]}" for name in ("commit", "torch") if name in facts]
        line = f"* {start}{steps}{data}"
        line += f"; {', '.join(shown)}" if shown else ""
        yield line + (f" ({', '.join(written)})" if written else "")


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
