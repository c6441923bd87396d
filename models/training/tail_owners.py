"""Whose each tail is where tails cross: ``python -m models.training.tail_owners``.

``[--specimens N] [--seed S] [--sperm N]``. Of every sperm whose tail meets another's (from the
specimen's identities): how often most of its tail is given to it, and the share of its pixels that
is, from true maps and from those of the shipped network. Pixels that the network does not see, and
sperm whose head it does not find, are no one's and do not count.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.measure.instances import identity_map
from models.measure.shapes import measure_shapes
from models.measure.soft import planes_of
from models.sfcnet.runtime import SFCNetDetector, load_shipped, use_threads
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.truth import Truth
from models.types import Detections, Perception, SpermPart, UInt8

SEED, FRAMES, APART_S = 9300, 4, 0.5
EXPOSURE_S = 0.008
_MEETS_PX = 3  # two tails that come so near are one line in places
_NEAR_PX = 6.0
_LEAST_PX = 20  # of tail that is seen


@dataclass(slots=True)
class Owners:
    """Counts over all frames.

    Attributes
    ----------
    tails, right : int
        Tails that meet another; those most of which was given to their own sperm.
    pixels, own : int
        Of these tails; given to their own sperm.
    """

    tails: int = 0
    right: int = 0
    pixels: int = 0
    own: int = 0

    def add(self, truth: Truth, found: Perception) -> None:
        """Take in a frame; ``truth`` has its maps."""
        planes = planes_of(found)
        identity, parts = truth.identity_map, truth.part_map
        if planes is None or identity is None or parts is None:
            return
        if found.class_map is None or found.part_map is None:
            return
        box = found.detections.box_px
        shapes = measure_shapes(planes, box, *identity.shape)
        owner = identity_map(found.class_map, found.part_map, box, shapes)
        rows = _rows(truth, box)
        tail = (parts >= SpermPart.MIDPIECE) & (identity > 0)
        for sperm in crossing(np.where(tail, identity, 0)):
            if sperm not in rows:
                continue
            given = owner[tail & (identity == sperm)]
            given = given[given > 0]
            if len(given) < _LEAST_PX:
                continue
            own = int((given == rows[sperm] + 1).sum())
            self.tails += 1
            self.right += int(2 * own > len(given))
            self.pixels += len(given)
            self.own += own

    def __str__(self) -> str:
        if not self.tails:
            return "no tails cross"
        return (
            f"{self.tails} crossing tails: right owner {self.right / self.tails:.1%}, of their "
            f"pixels {self.own / self.pixels:.1%}"
        )


def crossing(tails: NDArray[np.uint16]) -> list[int]:
    """Sperm whose tail comes within _MEETS_PX of another's; ``tails`` (H, W) holds their ids."""
    kernel = np.ones((2 * _MEETS_PX + 1, 2 * _MEETS_PX + 1), np.uint8)
    highest = cv2.dilate(tails, kernel)
    void = np.where(tails > 0, tails, np.uint16(65535))
    lowest = cv2.erode(void, kernel)
    meets = (tails > 0) & ((highest != tails) | (lowest != tails))
    ids, counts = np.unique(tails[meets], return_counts=True)
    return [int(one) for one, count in zip(ids, counts, strict=True) if count >= 4]


def _rows(truth: Truth, box_px: NDArray[np.floating]) -> dict[int, int]:
    """Row of the head found for each sperm, by id."""
    rows = {}
    for k, sperm in enumerate(truth.sperm_id.tolist()):
        far = np.hypot(*(box_px[:, :2] - truth.position_px[k]).T)
        if len(far) and far.min() < _NEAR_PX:
            rows[int(sperm)] = int(np.argmin(far))
    return rows


def true_perception(truth: Truth) -> Perception:
    """Say what a detector would that saw all that is visible."""
    shown = np.flatnonzero(truth.visible)
    found = Detections(
        truth.box_px[shown].astype(np.float32), np.ones(len(shown), np.float32), truth.label[shown]
    )
    return Perception(found, truth.class_map, truth.part_map)


def examine(specimen: Specimen, detector: SFCNetDetector | None, owners: Owners) -> None:
    """Add FRAMES frames of a specimen; without a detector from its true maps."""
    for k in range(FRAMES):
        truth = specimen.truth(k * APART_S, np.zeros(2), masks=True)
        if detector is None:
            owners.add(truth, true_perception(truth))
        else:
            image: UInt8 = specimen.render(k * APART_S, EXPOSURE_S, _at_rest)
            owners.add(truth, detector.detect(image))


def _at_rest(time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros((len(time_s), 2))


def main() -> None:
    """Print the shares of each modality, from true maps and from the network's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=6)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--sperm", type=int, default=40)
    options = parser.parse_args()
    use_threads(1)
    shipped = load_shipped()
    for modality in ("brightfield", "phase"):
        for detector in (None, shipped):
            owners = Owners()
            for k in range(options.specimens):
                look = profile("exam", modality=modality, density=options.sperm)
                examine(Specimen(look, options.seed + k), detector, owners)
            print(f"{modality}, {'true maps' if detector is None else detector.name}: {owners}")


if __name__ == "__main__":
    main()
