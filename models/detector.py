"""The border between pixels and heads: whatever finds sperm implements this."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from models.types import Perception, UInt8


@runtime_checkable
class Detector(Protocol):
    """Finds sperm in one grey frame."""

    @property
    def name(self) -> str:
        """What it is, with its version or the first digits of its weights' sha256."""
        ...

    def warm_up(self, height_px: int, width_px: int) -> None:
        """Make the first frame as fast as the others."""
        ...

    def detect(self, image: UInt8) -> Perception:
        """Find the heads in ``image`` (H, W) uint8, any size, image frame.

        Raises ValueError for an array that is no grey picture.
        """
        ...
