"""Class names of labelled data: which are heads, which are ignored, which are a mistake."""

from __future__ import annotations

from models.errors import DataError
from models.types import SpermClass

_NORMAL, _ABNORMAL, _SPERM = SpermClass.NORMAL, SpermClass.ABNORMAL, SpermClass.BACKGROUND
_HEADS = {
    "s": _SPERM, "sperm": _SPERM, "head": _SPERM, "sperm head": _SPERM, "head sperm": _SPERM,
    "normal": _NORMAL, "normal head": _NORMAL, "head normal": _NORMAL, "normal sperm": _NORMAL,
    "abnormal": _ABNORMAL, "abnormal head": _ABNORMAL, "head abnormal": _ABNORMAL,
    "abnormal sperm": _ABNORMAL,
}  # fmt: skip
# Neither to be found nor a mistake if found. Impurity: SVIA; cluster, small or pinhead: VISEM.
IGNORED = "ignored"
_IGNORED = frozenset(
    {IGNORED, "ignore", "impurity", "cluster", "pinhead", "small or pinhead", "debris"}
)


def head_class(name: str, where: str) -> SpermClass | None:
    """Return the class that ``name`` says, BACKGROUND for a sperm of no class, None for ignored.

    Parameters
    ----------
    name : str
        As labelled; capitals, hyphens and underscores make no difference.
    where : str
        File and shape, for the message.

    Raises
    ------
    DataError
        A name that is not known.
    """
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    if plain in _IGNORED:
        return None
    try:
        return _HEADS[plain]
    except KeyError:
        raise DataError(
            f"{where}: class {name!r} is not known; use normal, abnormal, sperm or {IGNORED}"
        ) from None
