"""A model card says what the manifest knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import WeightsError
from models.sfcnet.export import export, export_random
from models.sfcnet.manifest import read_manifest, sha256_of, shipped_archive, trusted_entry
from models.specimen.recording import write_recording
from models.training.folder_crops import FolderCrops
from models.training.model_card import model_card, write_card
from models.training.origin import data_of, start_of
from models.training.settings import TrainSettings
from models.training.trainer import WEIGHTS, Trainer


def test_the_card_of_what_ships_tells_data_seeds_schedule_scores_and_limits() -> None:
    (entry,) = (e for e in read_manifest(shipped_archive("lite").parent) if e.variant == "lite")
    card = model_card(entry)
    for part in ("## Data and schedule", "## Scores", "## Limits", "90000-90011", "phase"):
        assert part in card, part
    assert str(entry.scores["brightfield"]["ap50"]) in card
    assert f"seed {entry.provenance['settings']['seed']}" in card


def test_trainings_that_followed_each_other_stand_in_their_order(tmp_path) -> None:
    archive = export_random(tmp_path / "mine.pt", "lite", "segment", seed=4)
    (entry,) = read_manifest(tmp_path)
    first = {"start": "random weights", "steps": 11, "settings": {"seed": 2}}
    facts = {"steps": 7, "settings": {"seed": 3, "batch": 8}, "before": first}
    card = model_card(replace(entry, provenance=facts))
    assert card.index("from random weights, 11 steps") < card.index("7 steps")
    assert "seed 3, batch 8" in card
    assert "None were taken." in card
    assert write_card(archive).read_text().startswith("# mine\n")
    with pytest.raises(WeightsError, match="no such archive"):
        write_card(tmp_path / "nowhere.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_card_of_a_fine_tuned_archive_tells_what_is_true_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "my films"
    write_recording(folder, frames=2, seed=62)
    settings = TrainSettings(rehearsal=0.4, steps=7)
    trainer = Trainer(settings)
    shipped = shipped_archive("lite")
    trainer.start_from(shipped)
    trainer.origin.update(data_of(settings, [folder], FolderCrops([folder], 1, (64, 64))))
    trainer.step = 7
    trainer.save(tmp_path)
    export(tmp_path / WEIGHTS, tmp_path / "mine.pt")
    facts = trusted_entry(tmp_path / "mine.pt").provenance
    assert facts["begun_from"] == {"file": shipped.name, "sha256": sha256_of(shipped)}
    assert facts["labelled"] == {"folders": ["my films"], "frames": 2}
    assert (facts["params_m"], facts["gmacs_of"]) == (1.651, {"boxes": 100, "sperm": 30})
    assert str(tmp_path) not in str(facts)
    card = write_card(tmp_path / "mine.pt").read_text(encoding="utf-8")
    digest = sha256_of(shipped)[:12]
    line = f"from sfcnet-lite.pt (sha256 {digest}), 7 steps of 2 labelled frames of my films, 40%"
    assert line in card
    # What was before it, too, and nothing that is true of that alone.
    assert card.index("9253 steps of specimens") < card.index(line)
    for untrue in ("only ever scored on", "The classes are those of the specimen model", "?",
                   "not told"):  # fmt: skip
        assert untrue not in card, untrue
    assert "Taught on labelled frames: 2 frames of my films" in card
    # Trained on from there: the next one still tells of both.
    again = start_of(tmp_path / WEIGHTS)
    assert again["before"]["labelled"] == facts["labelled"]
    assert "2 frames of my films" in model_card(
        replace(trusted_entry(tmp_path / "mine.pt"), provenance={"steps": 1, **again})
    )


def test_a_card_says_what_is_not_known(tmp_path: Path) -> None:
    archive = export_random(tmp_path / "mine.pt", "lite", "segment", seed=4)
    card = model_card(trusted_entry(archive))
    assert "What it was taught on is not told" in card
    assert "only ever scored on" not in card
    assert "specimen model" not in card
