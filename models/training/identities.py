"""Identities of sperm: what a file says, and what maps and tables in memory hold."""

from __future__ import annotations

from models.errors import DataError

# A map of identities says 0 where no sperm is. A file's identity 0 is this number in memory.
ZERO = 2**31 - 1


def identity_of(value: object, where: str) -> int | None:
    """Return the identity that a file gives a shape.

    Parameters
    ----------
    value : object
        A whole number from 0 to 2 147 483 646; None or -1: unknown.
    where : str
        File and shape, for the message.

    Returns
    -------
    int or None
        From 1 on; ZERO for 0; None where unknown.

    Raises
    ------
    DataError
        Anything else.
    """
    if value is None:
        return None
    try:
        number = int(value) if isinstance(value, float) else int(str(value))
        if isinstance(value, float) and number != value:
            raise ValueError
    except (ValueError, OverflowError) as fault:
        raise DataError(
            f"{where}: identity {value!r} is no whole number; number the sperm from 1 on"
        ) from fault
    if number == -1:
        return None
    if not 0 <= number < ZERO:
        raise DataError(
            f"{where}: identity {value} is not from 0 to {ZERO - 1}; number the sperm from 1 on"
        )
    return number or ZERO


def as_written(identity: int) -> int:
    """Return what a file says of an identity in memory: 0 for ZERO."""
    return 0 if identity == ZERO else identity
