"""Errors of the models room. Each message is one line: what, where, what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable


class ModelError(Exception):
    """Weights, data sets or settings that cannot be used as they are."""


class WeightsError(ModelError):
    """An archive that is missing, damaged, or not in the manifest."""


class NoWeights(WeightsError):
    """There is no archive at all: not a damaged one."""


class DataError(ModelError):
    """A data set, table or annotation that cannot be read."""


def exit_code_of(work: Callable[[], object]) -> int:
    """Do the work of a command: 0, or 2 after a user's mistake, told in one line."""
    try:
        work()
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
