"""The classical detector tuned on specimens alone: the fair opponent of weights trained on them.

What ``tuning.specimen_settings('brightfield')`` and ``('phase')`` found: 60 random settings, 16
frames of profile ``exam``.
"""

from __future__ import annotations

from models.threshold import ThresholdDetector, ThresholdSettings

SPECIMEN_BRIGHT_FIELD = ThresholdSettings(
    polarity=-1, background_px=40.0, smooth_px=0.7, otsu_factor=0.5, open_px=7, close_px=0,
    area_px2=(40.0, 400.0), grow=1.0, pad_px=1.0, score_by="peak",
)  # fmt: skip
SPECIMEN_PHASE_CONTRAST = ThresholdSettings(
    polarity=1, background_px=15.0, smooth_px=1.0, otsu_factor=1.2, open_px=0, close_px=3,
    area_px2=(30.0, 400.0), grow=1.0, pad_px=2.0, score_by="peak",
)  # fmt: skip


class SpecimenThreshold(ThresholdDetector):
    """Thresholding that knows specimens; tells bright field from phase contrast by itself."""

    def __init__(self) -> None:
        super().__init__(pair=(SPECIMEN_BRIGHT_FIELD, SPECIMEN_PHASE_CONTRAST))

    @property
    def name(self) -> str:
        """What it is, and what it was tuned on."""
        return f"{super().name}, tuned on specimens"


def specimen_threshold() -> ThresholdDetector:
    """Return the detector."""
    return SpecimenThreshold()
