"""Head and tail of the right owner where tails cross, on the specimen's own maps."""

from __future__ import annotations

import numpy as np
import pytest

from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.training.tail_owners import Owners, crossing, true_perception


@pytest.mark.parametrize("modality", ["brightfield", "phase"])
def test_most_crossing_tails_have_the_right_owner(modality: str) -> None:
    owners = Owners()
    for seed in (71, 72):
        specimen = Specimen(profile("exam", modality=modality, density=40), seed)
        for k in range(3):
            truth = specimen.truth(0.5 * k, np.zeros(2), masks=True)
            owners.add(truth, true_perception(truth))
    assert owners.tails >= 40
    assert owners.right / owners.tails >= 0.7
    assert owners.own / owners.pixels >= 0.65


def test_which_tails_cross() -> None:
    tails = np.zeros((40, 60), np.uint16)
    tails[20, 5:55] = 3
    tails[5:35, 30] = 300
    tails[38, 5:20] = 7
    assert crossing(tails) == [3, 300]
    assert crossing(np.zeros((40, 60), np.uint16)) == []
