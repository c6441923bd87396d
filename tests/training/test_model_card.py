"""A model card says what the manifest knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.errors import WeightsError
from models.sfcnet.export import export_random
from models.sfcnet.manifest import read_manifest, shipped_archive
from models.training.model_card import model_card, write_card


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
