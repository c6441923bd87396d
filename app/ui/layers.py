"""What can be shown on the picture, and switched off again."""

from __future__ import annotations

from enum import Enum


class Layer(Enum):
    """One kind of mark. The chosen sperm's mark is none of these: it is always shown."""

    MASKS = "masks"
    BOXES = "boxes"
    IDENTITIES = "identities"
    TRAILS = "trails"
    CROSSHAIR = "crosshair"
    CONTRAST = "contrast"


DEFAULT_LAYERS = frozenset(Layer) - {Layer.CONTRAST}
"""Shown at start."""
