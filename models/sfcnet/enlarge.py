"""Frames enlarged for a network that was trained on enlarged ones, and its boxes brought back.

The paper's detection sees frames whose short side is 800 px (its implementation; 480 to 800 in
training): heads of 10 px become 17. Detection alone is enlarged. A network that segments, or does
both tasks in one pass, sees frames as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STRIDE_PX = 32


def enlarged_size(height: int, width: int, short_side_px: int) -> tuple[int, int]:
    """Return height and width with about the short side wanted, both multiples of 32.

    Each side is rounded by itself: proportions change by 2% at most at 800 px, which the way back
    undoes exactly.
    """
    factor = short_side_px / min(height, width)
    return _rounded(height * factor), _rounded(width * factor)


def _rounded(side_px: float) -> int:
    return max(round(side_px / STRIDE_PX), 1) * STRIDE_PX


def enlarged(frame: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a frame (1, 1, H, W) of grey levels resized bilinearly to ``size``, float32."""
    return functional.interpolate(
        frame.to(torch.float32), size=size, mode="bilinear", align_corners=False
    )


def in_frame(rows: Tensor, size: tuple[int, int], frame: tuple[int, int]) -> Tensor:
    """Bring boxes back from a picture of ``size`` (height, width) to the frame it was made of.

    Parameters
    ----------
    rows : (N, 5) tensor
        Centre x, y, width, height, px of the enlarged picture; score.
    size, frame : (height, width)

    Returns
    -------
    (N, 5) tensor
        The same in px of the frame. Rows that hold nothing stay worthless: their score is 0.
    """
    across, down = frame[1] / size[1], frame[0] / size[0]
    scale = rows.new_tensor([across, down, across, down, 1.0])
    # Pixels are counted from the centre of the first: half a pixel is another length here.
    shift = rows.new_tensor([0.5, 0.5, 0.0, 0.0, 0.0])
    return (rows + shift) * scale - shift
