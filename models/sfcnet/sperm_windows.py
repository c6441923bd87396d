"""Looks at each sperm by itself: a window along its tail, and a finer one of its head.

Both are turned so that the tail leaves the head to the right. What is wrong with a sperm (a tail
that is short, bent, double or coiled, a head of another shape) then looks the same wherever it
swims to, and a few small convolutions are enough to tell. Even and odd rows of the picture are
looked at apart: the two fields of an interlaced picture show a sperm at two places.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

# Where a tail is looked for: it leaves a head, half as long as 5 to 8 px, in one of 24 directions.
DIRECTIONS = 24
RADII_PX = (6.0, 9.0, 12.0, 15.0)
# Along and across the tail: 10 px before the head's centre to 76 px behind it, 23 px to each side.
TAIL_ROWS, TAIL_COLUMNS, TAIL_STEP_PX, TAIL_BEFORE_PX = 24, 44, 2.0, 10.0
HEAD_SIDE, HEAD_STEP_PX = 28, 0.8
# Even rows and odd rows.
FIELDS = 2


def fields_at(
    picture: Tensor, centre_px: Tensor, along: Tensor, u_px: Tensor, v_px: Tensor
) -> Tensor:
    """Return even rows, and odd rows, of a picture in N windows.

    Parameters
    ----------
    picture : (H, W) tensor
    centre_px, along : (N, 2) tensors
        Where the windows lie, and the unit vectors they are laid along.
    u_px, v_px : (columns,), (rows,) tensors
        Places along and across.

    Returns
    -------
    (N, 2, rows, columns) tensor
        Channels last. Each field interpolated by itself; outside the picture its border goes on.
    """
    # Places run from -1 to 1 between the edges of a picture, and row k of a field is row 2 k, or
    # 2 k + 1, of the picture.
    scale = torch.tensor([2.0 / picture.shape[1], 2.0 / picture.shape[0]], device=along.device)
    half = torch.tensor([0.5, 1.0], device=along.device)
    down = torch.tensor([0.0, 2.0 / picture.shape[0]], device=along.device)
    across = torch.stack([-along[:, 1], along[:, 0]], 1)
    # Small sums first: one large addition for each field.
    columns = u_px[:, None] * (along * scale)[:, None]
    rows = v_px[:, None] * (across * scale)[:, None] + ((centre_px + half) * scale - 1.0)[:, None]
    shape = [-1, v_px.shape[0], u_px.shape[0]]
    fields: list[Tensor] = []
    for first, field in ((rows, picture[0::2]), (rows - down, picture[1::2])):
        places = (first[:, :, None] + columns[:, None]).reshape(1, -1, u_px.shape[0], 2)
        seen = functional.grid_sample(
            field[None, None], places, padding_mode="border", align_corners=False
        )
        fields.append(seen.reshape(shape))
    return torch.stack(fields, 3).permute(0, 3, 1, 2)


class SpermWindows(nn.Module):
    """Cuts the windows of some sperm out of one picture."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.directions, self.turn = DIRECTIONS, 2.0 * math.pi / DIRECTIONS
        self.radii_px = list(RADII_PX)
        self.tail_rows, self.tail_columns = TAIL_ROWS, TAIL_COLUMNS
        self.tail_step_px, self.tail_before_px = TAIL_STEP_PX, TAIL_BEFORE_PX
        self.head_side, self.head_step_px = HEAD_SIDE, HEAD_STEP_PX

    def forward(
        self, picture: Tensor, logits: Tensor, centre_px: Tensor, turn_rad: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Look at the sperm whose heads are at ``centre_px``.

        Parameters
        ----------
        picture : (H, W) float32 tensor
            Contrast.
        logits : (classes + parts, H / 2, W / 2) float32 tensor
            Of the segmentation: where the tails are.
        centre_px : (N, 2) float32 tensor
        turn_rad : (N,) float32 tensor
            By how much windows are turned away from the tail: training varies it.

        Returns
        -------
        tail : (N, FIELDS, TAIL_ROWS, TAIL_COLUMNS) float32 tensor
        head : (N, FIELDS, HEAD_SIDE, HEAD_SIDE) float32 tensor
            Both channels last.
        """
        along = self.tail_directions(logits, centre_px)
        cosine, sine = torch.cos(turn_rad), torch.sin(turn_rad)
        x = along[:, 0] * cosine - along[:, 1] * sine
        y = along[:, 0] * sine + along[:, 1] * cosine
        along = torch.stack([x, y], 1)
        u = torch.arange(self.tail_columns, device=along.device) * self.tail_step_px
        v = torch.arange(self.tail_rows, device=along.device) - 0.5 * (self.tail_rows - 1)
        tail = fields_at(
            picture, centre_px, along, u - self.tail_before_px, v * self.tail_step_px
        )  # fmt: skip
        side = torch.arange(self.head_side, device=along.device) - 0.5 * (self.head_side - 1)
        side = side * self.head_step_px
        return tail, fields_at(picture, centre_px, along, side, side)

    def tail_directions(self, logits: Tensor, centre_px: Tensor) -> Tensor:
        """Return unit vectors (N, 2), image frame, in which tails leave heads.

        Among directions the one with most midpiece and tail in it, finer by its neighbours.
        """
        height, width = logits.shape[1], logits.shape[2]
        angle = torch.arange(self.directions, device=logits.device) * self.turn
        radius = torch.tensor(self.radii_px, device=logits.device)
        along_x, along_y = torch.cos(angle), torch.sin(angle)
        x = centre_px[:, 0, None, None] + along_x[:, None] * radius
        y = centre_px[:, 1, None, None] + along_y[:, None] * radius
        # Cell k is centred on pixel 2 k + 0.5. Numbers of cells stay below 2**24: exact.
        column = torch.round((x - 0.5) * 0.5).clamp(0, width - 1)
        row = torch.round((y - 0.5) * 0.5).clamp(0, height - 1)
        cells = (row * width + column).reshape(-1).to(torch.int64)
        # Without a copy of the map if its channels come last.
        seen = logits.permute(1, 2, 0).reshape(height * width, -1).index_select(0, cells)
        parts = seen[:, self.classes :]
        behind = torch.maximum(parts[:, 2], parts[:, 3]) - torch.maximum(parts[:, 0], parts[:, 1])
        tail = torch.sigmoid(behind).reshape(x.shape).sum(2)
        best = (tail + 0.5 * (torch.roll(tail, 1, 1) + torch.roll(tail, -1, 1))).argmax(1)
        beside = torch.arange(-1, 2, device=logits.device)
        three = torch.remainder(best[:, None] + beside, self.directions)
        weight = tail.gather(1, three) + 1e-3
        x, y = (weight * along_x[three]).sum(1), (weight * along_y[three]).sum(1)
        return torch.stack([x, y], 1) / torch.hypot(x, y)[:, None]
