"""Lengths of one jog, most of them in fields of view: the eye knows what it will get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Step:
    """One length: a part of the field of view, or micrometres."""

    text: str
    tooltip: str
    fields: float = 0.0
    um: float = 0.0

    def length_px(self, width_px: int, height_px: int, um_per_px: float, along_x: bool) -> float:
        """Length in the image frame."""
        if self.um:
            return self.um / um_per_px
        return self.fields * (width_px if along_x else height_px)


STEPS: Final = (
    Step("10 µm", "Each arrow moves by 10 µm: two heads", um=10.0),
    Step("¼", "Each arrow moves by a quarter of the field of view", fields=0.25),
    Step("1", "Each arrow moves by one field of view", fields=1.0),
    Step("3", "Each arrow moves by three fields of view; asks before it moves", fields=3.0),
)
