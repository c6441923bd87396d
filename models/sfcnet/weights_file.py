"""What is said of files that ``torch.load`` cannot read: missing, cut short, or another kind."""

from __future__ import annotations

import struct
from pickle import UnpicklingError

# A text is read as a pickle: its letters are taken for instructions, which fail as they like.
UNREADABLE = (
    OSError,
    RuntimeError,
    UnpicklingError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def reason_of(error: BaseException) -> str:
    """Return what an error says, in one line of bearable length."""
    if isinstance(error, KeyError) and isinstance(error.args[0], str):
        return f"it lacks {error}"
    if isinstance(error, EOFError):
        return "it is empty or cut short"
    if isinstance(error, LookupError | AssertionError | struct.error):
        return "not a file that torch wrote"
    return " ".join(str(error).split())[:160] or type(error).__name__
