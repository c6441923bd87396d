"""Errors of the calibration room. Each message is one line: what, where, what to do."""

from __future__ import annotations


class CalibrationError(Exception):
    """A calibration that is absent, expired, broken, or belongs to another set-up."""
