"""What detectron2 is asked, and its answers in ``detectron2_golden.npz``.

``PYTHONPATH=. python tests/sfcnet/golden_detectron2.py`` writes the answers anew where detectron2
is installed. Those in the repository were written by detectron2 0.6, commit 02b5c4e2, built from
its source for Python 3.11 and torch 2.13.0 on a processor. What ran in detectron2: the anchors, the
head of the proposals, ``find_top_rpn_proposals``, ``ROIPooler`` with its levels, the second stage
and ``fast_rcnn_inference``, all by ``GeneralizedRCNN`` in inference as ``models.sfcnet.detectron2``
configures it. Encoder and lateral attention are this program's. detectron2 takes two operators from
torchvision, whose wheels do not run on that build of torch: there ROIAlign was torchvision's own
reference in Python, and suppression a greedy loop. ROIAlign was compared with detectron2's compiled
ROIAlignRotated at an angle of 0 as well (``rotated_difference``).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from models.sfcnet.network import SFCNet
from models.sfcnet.variant import LITE, R50

FILE = Path(__file__).with_name("detectron2_golden.npz")
# Of r50 the shape, a few blocks and narrow; of lite all, with detectron2's choice of proposals.
VARIANTS = {
    "lite": LITE.with_changes(by_level=True, proposals_before=400, boxes=100),
    "r50": R50.with_changes(
        stem_channels=8, stage_channels=(16, 24, 32, 40), stage_blocks=(1, 1, 2, 1),
        pyramid_channels=16, second_channels=32, proposals_before=200, proposals=150, boxes=100,
    ),
}  # fmt: skip
SIZE = (160, 224)
LEAST_SCORE = 0.05
CELLS = [(40, 56), (20, 28), (10, 14), (5, 7)]


def network(name):
    """Return a network for detection whose weights are the same on every machine."""
    made = SFCNet(VARIANTS[name], "detect").eval()
    # The legacy generator: its streams never change.
    rng = np.random.RandomState(7)
    state = made.state_dict()
    for key in sorted(state):
        shape = tuple(state[key].shape)
        noise = rng.standard_normal(shape).astype(np.float32) if shape else np.float32(0)
        if key.endswith("running_var"):
            value = 1.0 + 0.1 * np.abs(noise)
        elif len(shape) > 1:
            value = noise * math.sqrt(2.0 / np.prod(shape[1:]))
        elif key.endswith("weight"):
            value = 1.0 + 0.1 * noise
        else:
            value = 0.1 * noise
        state[key] = torch.as_tensor(value).to(state[key].dtype)
    # Deltas of a fraction of a box, and scores from low to high.
    for key in ("proposals.deltas", "second.deltas", "second.classify"):
        state[f"detection.{key}.weight"] *= 0.3
    made.load_state_dict(state)
    return made


def picture():
    """Return (1, H, W) uint8: bright and dark blobs on a grain."""
    rng = np.random.RandomState(3)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    image = 128 + 6 * rng.standard_normal(SIZE)
    for _ in range(30):
        v, u, size = rng.random_sample(3) * (SIZE[0], SIZE[1], 12) + (0, 0, 3)
        contrast = rng.choice([-80, 60])
        image += contrast * np.exp(-((y - v) ** 2 + (x - u) ** 2) / size**2)
    return torch.from_numpy(np.clip(image, 0, 255).astype(np.uint8))[None]


def features():
    """Return P2 to P5 of noise, each (4, h, w)."""
    rng = np.random.RandomState(5)
    return [torch.from_numpy(rng.standard_normal((4, *s)).astype(np.float32)) for s in CELLS]


def boxes():
    """Return corner boxes (40, 4) from 4 px to nearly the whole picture, image frame."""
    rng = np.random.RandomState(11)
    size = np.exp(rng.uniform(math.log(4), math.log(150), (40, 2)))
    size[:4] = [[200, 150], [220, 158], [150, 155], [217, 159]]
    room = np.array([SIZE[1], SIZE[0]]) - size
    low = rng.random_sample((40, 2)) * np.maximum(room, 0) - 0.5
    return torch.from_numpy(np.hstack([low, low + size]).astype(np.float32))


def answers():
    """Return what detectron2 says, by name, in this program's coordinates."""
    from models.sfcnet.detectron2 import model_of, part, rows_of

    found = {}
    for name in VARIANTS:
        model = model_of(network(name))
        with torch.inference_mode():
            images = model.preprocess_image([{"image": picture()}])
            levels = model.backbone(images.tensor)
            first = model.proposal_generator(images, levels, None)[0][0]
            rows = rows_of(model([{"image": picture()}])[0]["instances"])
            kept = rows[rows[:, 4] >= LEAST_SCORE]
            heads = model.roi_heads
            pooled = heads.box_pooler([levels[p] for p in ("p2", "p3", "p4", "p5")],
                                      [first.proposal_boxes[:20]])  # fmt: skip
            logits, deltas = heads.box_predictor(heads.box_head(pooled))
        found[f"{name}_proposals"] = first.proposal_boxes.tensor - 0.5
        found[f"{name}_objectness"] = first.objectness_logits
        found[f"{name}_logits"], found[f"{name}_deltas"] = logits.flip(1), deltas
        found[f"{name}_rows"] = kept
    pooler, structures = part("modeling.poolers").ROIPooler, part("structures")
    batch = [level[None] for level in features()]
    corner = boxes() + 0.5
    centre, size = (corner[:, 2:] + corner[:, :2]) / 2, corner[:, 2:] - corner[:, :2]
    turned = structures.RotatedBoxes(torch.cat([centre, size, torch.zeros(len(corner), 1)], 1))
    differences = []
    for samples in (1, 2):
        common = {"output_size": 7, "scales": [1 / 4, 1 / 8, 1 / 16, 1 / 32],
                  "sampling_ratio": samples}  # fmt: skip
        straight = pooler(pooler_type="ROIAlignV2", **common)(batch, [structures.Boxes(corner)])
        rotated = pooler(pooler_type="ROIAlignRotated", **common)(batch, [turned])
        differences.append(float((straight - rotated).abs().max()))
        found[f"pooled_{samples}"] = straight
    found["rotated_difference"] = torch.tensor(max(differences))
    return {key: value.numpy() for key, value in found.items()}


if __name__ == "__main__":
    made = answers()
    np.savez_compressed(FILE, **made)
    print({key: value.shape or float(value) for key, value in made.items()}, FILE.stat().st_size)
