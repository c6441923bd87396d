"""Shapes, costs and settings of the network."""

from __future__ import annotations

import pytest
import torch

from models.errors import ModelError
from models.sfcnet.cost import count, count_all
from models.sfcnet.fold import folded
from models.sfcnet.fusion import MultiScaleFusion
from models.sfcnet.guide import CrossScaleGuide
from models.sfcnet.inference import Inference
from models.sfcnet.layers import SqueezeExcitation, SubpixelConvolution
from models.sfcnet.network import SFCNet, normalise
from models.sfcnet.variant import LITE, R50, variant

TINY = LITE.with_changes(
    stage_channels=(8, 8, 12, 12), stage_blocks=(1, 1, 1, 1), stem_channels=8, aspcp_channels=8,
    link_channels=(8, 8, 8, 8), pyramid_channels=8, second_channels=16,
)  # fmt: skip


def test_detection_of_r50_has_the_papers_parameters():
    # Table II of the paper: 49.56 M.
    assert count(R50, "detect").params_m == pytest.approx(49.56, rel=0.01)


def test_r50_costs_what_its_parts_add_up_to():
    # 52.1 encoder (less two of three input channels of the stem) + 79.0 + 31.4 + 13.9.
    assert count(R50, "detect", boxes=1000).gmacs == pytest.approx(175.7, rel=0.005)


def test_both_tasks_of_r50_share_its_encoder():
    cost = count_all(R50, height_px=480, width_px=640)
    gmacs = [cost[task].gmacs for task in ("detect", "segment", "joint")]
    assert gmacs == pytest.approx([79.1, 266.8, 321.3], rel=0.001)
    # ResNet50 takes 4.1 at 224x224, less its classifier and two channels of the stem.
    assert gmacs[0] + gmacs[1] - gmacs[2] == pytest.approx(4.1 * 480 * 640 / 224**2, rel=0.03)


def test_the_encoder_of_r50_is_resnet50():
    # 25,557,032 less the classifier's 2,049,000 and two of three input channels of the stem.
    encoder = sum(p.numel() for p in SFCNet(R50, "detect").encoder.parameters())
    assert encoder == 25_557_032 - 2_049_000 - 2 * 64 * 49


def test_what_is_attached_is_counted():
    names = ("class_head", "head_pointers")
    plain, whole = count(LITE, "joint"), count(LITE, "joint", parts=names)
    network = SFCNet(LITE)
    head, pointers = network.attach_class_head(), network.attach_head_pointers()
    more = sum(p.numel() for part in (head, pointers) for p in part.parameters())
    assert whole.params_m == pytest.approx(plain.params_m + more / 1e6)
    # 3.3 million multiply-adds a sperm.
    none, ten = (count(LITE, "joint", parts=names, sperm=n).gmacs for n in (0, 10))
    assert (ten - none) / 10 == pytest.approx(3.3e-3, rel=0.03)
    assert none - plain.gmacs < 2e-3
    assert count(R50, "detect", parts=names) == count(R50, "detect")


def test_lite_is_small_and_joint_shares_the_encoder():
    cost = count_all(LITE)
    assert cost["joint"].params_m < 2.0
    assert cost["joint"].gmacs < 3.6
    encoder = sum(p.numel() for p in SFCNet(LITE).encoder.parameters()) / 1e6
    apart = cost["detect"].params_m + cost["segment"].params_m
    assert cost["joint"].params_m == pytest.approx(apart - encoder)


@pytest.mark.parametrize(
    "change", [{"guide_start": 0}, {"guide_start": 5}, {"resize_stage": 0}, {"resize_stage": 6}]
)
def test_a_stage_that_there_is_none_of_is_one_line(change):
    ((name, stage),) = change.items()
    with pytest.raises(ModelError, match=f"{name} is {stage}; choose a stage from 1 to"):
        LITE.with_changes(**change)


@pytest.mark.parametrize("settings", [R50, LITE], ids=["r50", "lite"])
def test_shapes_of_both_variants(settings):
    with torch.device("meta"), torch.no_grad():
        outputs = SFCNet(settings).eval()(torch.zeros(2, 1, 96, 128))
    assert outputs["segmentation"].shape == (2, 7, 48, 64)
    cells = sum((96 // s) * (128 // s) for s in (4, 8, 16, 32)) + 2 * 2
    assert outputs["objectness"].shape == (2, 3 * cells)
    assert outputs["deltas"].shape == (2, 3 * cells, 4)
    assert outputs["p2"].shape == (2, settings.pyramid_channels, 24, 32)


@pytest.mark.parametrize("start", [1, 2, 3, 4])
def test_guide_start_of_table_iv(start):
    settings = TINY.with_changes(guide_start=start)
    links = sum(len(target.links) for target in CrossScaleGuide(settings).targets)
    assert links == sum(j - start for j in range(start + 1, 5))
    out = SFCNet(settings, "segment").eval()(torch.zeros(1, 1, 64, 64))
    assert out["segmentation"].shape == (1, 7, 32, 32)


@pytest.mark.parametrize("stage", [1, 2, 3, 4, 5])
def test_resize_stage_of_table_iv(stage):
    out = SFCNet(TINY.with_changes(resize_stage=stage), "segment").eval()(torch.zeros(1, 1, 64, 64))
    assert out["segmentation"].shape == (1, 7, 64 >> stage, 64 >> stage)


@pytest.mark.parametrize("start", [1, 2, 3, 4])
def test_stages_below_the_guide_start_are_not_guided(start):
    torch.manual_seed(1)
    guide = CrossScaleGuide(TINY.with_changes(guide_start=start)).eval()
    branches = [torch.randn(1, c, 64 >> k, 64 >> k) for k, c in enumerate(TINY.channels[:4])]
    moved = [b.clone() for b in branches]
    moved[start - 1] += 1.0
    with torch.no_grad():
        before, after = guide(branches), guide(moved)
    for k in range(start):
        assert before[k] is branches[k]
    for k in range(start, 4):
        # Every stage from there on is reached by the stage that guides.
        assert not torch.allclose(before[k], after[k])


def shapes_of(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def test_the_resize_stage_changes_no_weight_and_neither_ablation_the_detection():
    whole = shapes_of(SFCNet(TINY))
    for stage in (2, 3, 4, 5):
        assert shapes_of(SFCNet(TINY.with_changes(resize_stage=stage))) == whole
    links = [k for k in whole if k.startswith("segmentation.guide.")]
    rest = {k: v for k, v in whole.items() if k not in links}
    sizes = [len(links)]
    for start in (2, 3, 4):
        changed = shapes_of(SFCNet(TINY.with_changes(guide_start=start)))
        assert {k: v for k, v in changed.items() if ".guide." not in k} == rest
        sizes.append(len(changed) - len(rest))
    # Twelve tensors a block, two convolutions with their normalisations: 10, 4, 1 and no blocks.
    assert [size // 12 for size in sizes] == [10, 4, 1, 0]


def test_classifying_before_resizing_is_one_convolution_on_the_concatenation():
    torch.manual_seed(0)
    fusion = MultiScaleFusion(TINY.with_changes(subpixel_link=False)).eval()
    # All at one size, so that no resize intervenes and the concatenation can be written out.
    guided = [torch.randn(1, c, 8, 8) for c in TINY.channels[:4]]
    deepest, pyramid = torch.randn(1, 12, 8, 8), torch.randn(1, 8, 8, 8)
    with torch.no_grad():
        linked = fusion.link(guided, deepest)
        weight = torch.cat([c.weight for c in fusion.classifier], 1)
        joined = torch.cat([pyramid, deepest, *linked], 1)
        expected = torch.nn.functional.conv2d(joined, weight, fusion.classifier[0].bias)
        assert torch.allclose(fusion(guided, deepest, pyramid)[0], expected, atol=1e-5)


def test_brightness_of_the_lamp_does_not_matter():
    image = torch.rand(2, 1, 32, 32) * 100.0 + 50.0
    assert torch.allclose(normalise(image), normalise(1.7 * image), atol=1e-5)
    assert torch.isfinite(normalise(torch.zeros(1, 1, 32, 32))).all()


@pytest.mark.parametrize("task", ["joint", "detect", "segment"])
def test_fixed_size_outputs_and_folding_changes_nothing(task):
    torch.manual_seed(1)
    network = SFCNet(TINY, task)
    network.train()(torch.rand(4, 1, 64, 64) * 255)  # statistics of the normalisation
    network.eval()
    image = (torch.rand(1, 1, 64, 96) * 255).to(torch.uint8)
    plain, fused = Inference(network).eval(), folded(Inference(network))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    with torch.no_grad():
        rows, logits, _ = plain(image)
        rows_fused, logits_fused, _ = fused(image)
    if task == "segment":
        assert rows.numel() == 0
    else:
        assert rows.shape == (300, 5)
        assert (rows[:-1, 4] >= rows[1:, 4]).all()
        assert torch.allclose(rows[:, 4], rows_fused[:, 4], atol=1e-4)
    if task == "detect":
        assert logits.numel() == 0
    else:
        assert torch.allclose(logits, logits_fused, atol=1e-4)


def test_unknown_names_are_told_with_what_there_is():
    with pytest.raises(ModelError, match=r"variant 'huge' is unknown; choose lite or r50"):
        variant("huge")
    with pytest.raises(ModelError, match="task 'guess' is unknown"):
        SFCNet(TINY, "guess")


def test_a_subpixel_convolution_can_be_any_doubling_and_convolution_after_it():
    torch.manual_seed(3)
    kernel = torch.randn(1, 1, 3, 3)

    def doubled(x):
        full = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
        return torch.nn.functional.conv2d(full, kernel, padding=1)

    layer = SubpixelConvolution(1, 1).eval()
    weight = torch.zeros(4, 1, 3, 3)
    for y in range(3):
        for x in range(3):
            impulse = torch.zeros(1, 1, 5, 5)
            impulse[0, 0, 1 + y, 1 + x] = 1.0
            # The four quarters of the middle pixel, row by row.
            weight[:, 0, y, x] = doubled(impulse)[0, 0, 4:6, 4:6].flatten()
    with torch.no_grad():
        layer.body[0].weight.copy_(weight)
        picture = torch.randn(2, 1, 6, 9)
        expected = doubled(picture)
        found = layer(picture, expected) * (1.0 + layer.body[1].eps) ** 0.5
    assert found.shape == expected.shape
    assert torch.allclose(found[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-5)


def test_squeeze_excitation_scales_each_channel_by_a_function_of_its_mean():
    torch.manual_seed(4)
    layer, x = SqueezeExcitation(6, 2), torch.randn(2, 6, 5, 7)
    with torch.no_grad():
        hidden = torch.relu(layer.squeeze(x.mean((2, 3))))
        expected = x * torch.sigmoid(layer.excite(hidden))[:, :, None, None]
        assert torch.allclose(layer(x), expected, atol=1e-6)
