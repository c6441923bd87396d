"""Criteria profiles: what counts as normal, for which medium and temperature. TOML files."""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ModelError

DEFAULT = "who6_wet"
Measure = Literal[
    "head_area_um2", "head_length_um", "head_width_um", "head_ellipticity", "head_angle_deg",
    "tail_length_um", "vsl_um_s", "vcl_um_s", "vap_um_s", "alh_um", "alh_max_um", "mad_deg",
    "bcf_hz", "lin", "wob", "str",
]  # fmt: skip
# TOML tells numbers, texts and truth apart: none is taken for another.
Number = Annotated[float, Field(strict=True)]
Truth = Annotated[bool, Field(strict=True)]
Speed = Literal["vap_um_s", "vsl_um_s", "vcl_um_s"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Term(_Strict):
    """Limits of one measure, and how much it weighs.

    Its merit is 1 from ``best_low`` to ``best_high``, 1/2 at a limit and 0 at ``worst_low`` and
    ``worst_high``, linear between them: nearer to the best never has less merit. Where the best is
    put on the limit itself, the merit makes a step there, from 1/2 to 1.

    Attributes
    ----------
    measure : str
        Column of sperm.csv.
    group : str
        The verdict that it is part of.
    low, high : float or None
        Limits, included; at least one. Units are the measure's.
    best_low, best_high : float or None
        Left out: the other of the two, and without either the middle between two limits; of one
        limit, as far inside it as the worst lies outside.
    worst_low, worst_high : float or None
        Left out: as far outside the limit as the best lies inside; without either, both lie 1/4
        of the limit away from it.
    weight : float
        In the mean of merits.
    needed : bool
        Without it there is neither 'normal' nor a score. Of any other, unknown counts in the score
        as the worst value does.
    judges : bool
        Outside the limits is not normal; else the term only counts in the score.
    """

    measure: Measure
    group: Literal["morphology", "motility"]
    low: Number | None = None
    high: Number | None = None
    best_low: Number | None = None
    best_high: Number | None = None
    worst_low: Number | None = None
    worst_high: Number | None = None
    weight: Annotated[float, Field(gt=0, le=10, strict=True)] = 1.0
    needed: Truth = True
    judges: Truth = True

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError(f"{self.measure}: no limit; give low, high, or both")
        for side in ("low", "high"):
            for name in (f"worst_{side}", f"best_{side}"):
                if getattr(self, side) is None and getattr(self, name) is not None:
                    raise ValueError(f"{self.measure}: {name} without {side}; give both")
        knots = self.knots
        if any(a > b for a, b in pairwise(knots)):
            raise ValueError(
                f"{self.measure}: worst_low < low <= best_low <= best_high <= high < worst_high is "
                "needed"
            )
        for limit, worst in ((self.low, knots[0]), (self.high, knots[5])):
            if limit is not None and worst == limit:
                raise ValueError(f"{self.measure}: the worst value is the limit {limit:g} itself")
        return self

    @property
    def knots(self) -> tuple[float, float, float, float, float, float]:
        """Worst, limit and best from below, best, limit and worst from above; infinite: none."""
        low, high = self.low, self.high
        middle = None if low is None or high is None else (low + high) / 2
        best_low, best_high = self.best_low, self.best_high
        if low is None:  # everything below the best of an upper limit is best, too
            best_low = -math.inf
        elif best_low is None:
            inside = _inside(low, self.worst_low, 1.0)
            best_low = next(v for v in (best_high, middle, inside) if v is not None)
        if high is None:
            best_high = math.inf
        elif best_high is None:
            inside = _inside(high, self.worst_high, -1.0)
            best_high = next(v for v in (self.best_low, middle, inside) if v is not None)
        return (
            _worst(self.worst_low, low, best_low, -1.0), -math.inf if low is None else low,
            best_low, best_high, math.inf if high is None else high,
            _worst(self.worst_high, high, best_high, 1.0),
        )  # fmt: skip


def _worst(given: float | None, limit: float | None, best: float, outward: float) -> float:
    if given is not None:
        return given
    if limit is None:
        return outward * math.inf
    reach = abs(limit - best)
    return limit + outward * (reach if reach > 0.0 else _quarter(limit))


def _inside(limit: float, worst: float | None, inward: float) -> float:
    """Best of a limit that stands alone; a worst on the wrong side is refused elsewhere."""
    return limit + inward * (_quarter(limit) if worst is None else abs(limit - worst))


def _quarter(limit: float) -> float:
    return max(abs(limit) / 4, 1e-6)


class CriteriaProfile(_Strict):
    """What is normal, in one medium at one temperature.

    Attributes
    ----------
    name, title, source : str
    medium : str
    temperature_c : float
    estimators : str
        'ellipse': soft outline and its moments; 'paper': pixel contour and its rectangle.
    grade_by : str
        Speed that grades motility.
    rapid_um_s, progressive_um_s : float
        Least speed of 'rapid' and of 'slow' progressive sperm.
    not_assessed : tuple of str
        What the picture cannot show; every list of reasons says so.
    term : tuple of Term
        Without any of motility, motility is not assessed: there is no grade, and healthy is whose
        morphology is normal.
    """

    version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: str
    source: str
    medium: str
    temperature_c: Annotated[float, Field(ge=0, le=45, strict=True)]
    estimators: Literal["ellipse", "paper"] = "ellipse"
    grade_by: Speed = "vap_um_s"
    rapid_um_s: Annotated[float, Field(gt=0, strict=True)] = 25.0
    progressive_um_s: Annotated[float, Field(gt=0, strict=True)] = 5.0
    not_assessed: tuple[str, ...] = ()
    term: Annotated[tuple[Term, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        measures = [term.measure for term in self.term]
        twice = {name for name in measures if measures.count(name) > 1}
        if twice:
            raise ValueError(f"two terms for {', '.join(sorted(twice))}; leave one out")
        if not self.progressive_um_s < self.rapid_um_s:
            raise ValueError("progressive_um_s must be less than rapid_um_s")
        return self

    @property
    def assesses_motility(self) -> bool:
        """Whether any term judges, or counts, how a sperm swims."""
        return any(term.group == "motility" for term in self.term)


def names_a_file(name: str) -> bool:
    """Whether criteria called ``name`` are a file of one's own, not a profile of the program."""
    return name.lower().endswith(".toml")


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that come with the program, the default first."""
    names = sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files("models.measure").joinpath("profiles").iterdir()
        if entry.name.endswith(".toml")
    )
    return (DEFAULT, *(name for name in names if name != DEFAULT))


def named_profile(name: str = DEFAULT) -> CriteriaProfile:
    """Return a profile that comes with the program.

    Raises
    ------
    ModelError
        No such profile.
    """
    if name not in profile_names():
        raise ModelError(
            f"criteria '{name}': no such profile; profiles are {', '.join(profile_names())}"
        )
    file = resources.files("models.measure").joinpath("profiles", f"{name}.toml")
    return parse_profile(file.read_text(encoding="utf-8"), f"{name}.toml")


def parse_profile(text: str, where: str) -> CriteriaProfile:
    """Read a profile from TOML; ``where`` names it in messages.

    Raises
    ------
    ModelError
        Broken TOML, unknown key, or a value that is not allowed; one line.
    """
    try:
        return CriteriaProfile.model_validate(tomllib.loads(text.removeprefix("\ufeff")))
    except RecursionError:
        raise ModelError(f"{where}: not valid TOML: brackets too deep; correct the file") from None
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{where}: not valid TOML: {error}; correct that line") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ").replace("\n", " ")
        raise ModelError(f"{where}: {key or 'profile'}: {message}") from error
    except ValueError:  # Python reads no whole number of more than some thousand digits
        raise ModelError(f"{where}: a number has too many digits; correct it") from None
