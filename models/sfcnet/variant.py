"""Settings of the network: one definition, two variants.

The names are those of the paper (SFCNet, sections III-B and III-C). ``r50`` follows it: ResNet50,
256 pyramid channels, 1024 in the second stage. ``lite`` has the same five stages, narrow, so that
both tasks run at video rate on two processor cores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.errors import ModelError


@dataclass(frozen=True, slots=True)
class Variant:
    """Everything that tells one variant from another. Stage i has 1/2**i of the input's size.

    Raises ModelError for a stage that there is none of.

    Attributes
    ----------
    name : str
    stem_channels : int
        Channels of S1.
    stage_channels, stage_blocks : tuple of 4 int
        Output channels and bottlenecks of S2 to S5.
    hidden_ratio : float
        Width of the 3x3 in an encoder bottleneck as a part of its output width.
    collateral_factor : tuple of 4 float
        Hidden width of the collateral bottlenecks on S1 to S4, in widths of the stage.
    squeeze : int
        Reduction of the squeeze-excitation.
    guide_start : int
        1 to 4: the shallowest stage that guides others (Table IV); 4 switches the guide off.
    guide_drop : float
        Stochastic depth of the last guide link; the first has none.
    link_channels : tuple of 4 int
        Output channels of the top-down link at S1 to S4.
    subpixel_link : bool
        The link doubles by sub-pixel convolution, not by bilinear resizing and a convolution.
    aspcp_channels : int
    aspcp_rates : tuple of 3 int
    aspcp_dropout : float
    resize_stage : int
        1 to 5: the stage to whose size all outputs are resized before they are classified.
    pyramid_channels, second_channels : int
    anchor_sizes_px : tuple of 5 float
        One size per level P2 to P6, in pixels of the input.
    anchor_ratios : tuple of float
        Height over width.
    roi_samples : int
        Samples a side in each of the 7x7 bins.
    proposals_before, proposals : int
        Proposals kept before and after suppression.
    proposals_most : int
        Before suppression, in a crowd (``proposals.room_for``); 0: as many as always.
    by_level : bool
        Proposals are chosen and suppressed level by level, and boxes are cut at the border, as in
        detectron2; else all levels are one list without the worst shape of each cell, and a box
        may reach over the border.
    boxes : int
        Rows of the fixed-size output.
    short_side_px : int
        What the short side of a frame is resized to for detection alone; 0 leaves it as it is.
    input_px : tuple of 2 int
        Height and width for which costs are quoted.
    """

    name: str
    stem_channels: int
    stage_channels: tuple[int, int, int, int]
    stage_blocks: tuple[int, int, int, int]
    hidden_ratio: float
    collateral_factor: tuple[float, float, float, float]
    squeeze: int
    link_channels: tuple[int, int, int, int]
    aspcp_channels: int
    aspcp_rates: tuple[int, int, int]
    pyramid_channels: int
    second_channels: int
    anchor_sizes_px: tuple[float, float, float, float, float]
    roi_samples: int
    proposals_before: int
    proposals: int
    input_px: tuple[int, int]
    proposals_most: int = 0
    boxes: int = 300
    guide_start: int = 1
    guide_drop: float = 0.2
    aspcp_dropout: float = 0.1
    resize_stage: int = 1
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    proposal_iou: float = 0.7
    box_iou: float = 0.5
    subpixel_link: bool = False
    by_level: bool = False
    short_side_px: int = 0
    classes: int = 3
    parts: int = 4

    def __post_init__(self) -> None:
        for name, last in (("guide_start", 4), ("resize_stage", 5)):
            stage = getattr(self, name)
            if stage not in range(1, last + 1):
                raise ModelError(f"network: {name} is {stage}; choose a stage from 1 to {last}")

    @property
    def channels(self) -> tuple[int, int, int, int, int]:
        """Channels of S1 to S5."""
        return (self.stem_channels, *self.stage_channels)

    def with_changes(self, **changes: object) -> Variant:
        """Return a copy with settings replaced, as an ablation needs it."""
        return replace(self, **changes)  # type: ignore[arg-type]


R50 = Variant(
    name="r50",
    stem_channels=64,
    stage_channels=(256, 512, 1024, 2048),
    stage_blocks=(3, 4, 6, 3),
    hidden_ratio=0.25,
    collateral_factor=(2.0, 2.0, 2.0, 2.0),
    squeeze=16,
    link_channels=(64, 128, 256, 256),
    aspcp_channels=512,
    aspcp_rates=(12, 24, 36),
    pyramid_channels=256,
    second_channels=1024,
    # The frame is enlarged so that its short side is 800 px.
    anchor_sizes_px=(16.0, 32.0, 64.0, 128.0, 256.0),
    roi_samples=2,
    # Of each level.
    proposals_before=1000,
    proposals=1000,
    by_level=True,
    short_side_px=800,
    input_px=(800, 800),
)

LITE = Variant(
    name="lite",
    stem_channels=16,
    stage_channels=(32, 64, 96, 128),
    stage_blocks=(1, 2, 2, 2),
    hidden_ratio=0.5,
    collateral_factor=(0.5, 0.5, 0.5, 0.5),
    squeeze=4,
    link_channels=(8, 16, 32, 48),
    aspcp_channels=48,
    # Frames of 640x480 have 20x15 cells in S5, training crops 8x8: larger rates see padding only.
    aspcp_rates=(2, 4, 6),
    pyramid_channels=32,
    second_channels=128,
    # Native size: boxes of 10 to 22 px. Nearly all heads are proposed on P2.
    anchor_sizes_px=(12.0, 24.0, 48.0, 96.0, 192.0),
    roi_samples=1,
    proposals_before=400,
    proposals=300,
    proposals_most=1200,
    input_px=(480, 640),
    subpixel_link=True,
    guide_drop=0.0,
)

VARIANTS = {variant.name: variant for variant in (R50, LITE)}


def variant(name: str) -> Variant:
    """Return the variant called ``name``; ModelError lists what there is."""
    try:
        return VARIANTS[name]
    except KeyError:
        known = " or ".join(sorted(VARIANTS))
        raise ModelError(f"network variant '{name}' is unknown; choose {known}") from None
