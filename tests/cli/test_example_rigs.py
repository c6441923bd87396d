"""The example rig files: read by the strict reader, complete, and true about the defaults."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import app.rig
from app.config import InjectionConfig, Mp285Config, ProScanConfig, RigConfig, load_rig
from drivers.emulators.faults import parse_faults
from drivers.emulators.mp285 import VARIANTS as MP285_VARIANTS
from drivers.emulators.prior_controller import VARIANTS as PROSCAN_VARIANTS

FOLDER = Path(app.rig.__file__).parent
EXAMPLES = sorted(FOLDER.glob("example_*.toml"))
SWITCHED_OFF = re.compile(r"^#(?=\w+ = |\[\w+\])", re.MULTILINE)
OFF_OR_TABLE = re.compile(r"#\w+ = |#?\[\w+\]")


def written_out(example: Path) -> str:
    """The example with every line that is switched off switched on."""
    return SWITCHED_OFF.sub("", example.read_text(encoding="utf-8"))


def full(example: Path, folder: Path) -> RigConfig:
    path = folder / example.name
    path.write_text(written_out(example), encoding="utf-8")
    return load_rig(path)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_a_rig_as_it_stands_and_with_every_line_switched_on(
    example: Path, tmp_path: Path
) -> None:
    assert load_rig(example).version == 1
    full(example, tmp_path)


def models_in(kind: Any) -> list[type[BaseModel]]:
    """Models that a field of this type may hold."""
    if get_origin(kind) in (Annotated, Union, UnionType):
        return [model for part in get_args(kind) for model in models_in(part)]
    return [kind] if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def keys_of(model: type[BaseModel]) -> set[str]:
    """Every key below a model, with the tagged member that it belongs to."""
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        below = models_in(field.annotation)
        keys |= {f"{model.__name__}.{name}"} if not below else set()
        for part in below:
            keys |= keys_of(part)
    return keys


def keys_in(values: BaseModel) -> set[str]:
    """Every key that a file has set."""
    keys: set[str] = set()
    for name in values.model_fields_set:
        value = getattr(values, name)
        if isinstance(value, BaseModel):
            keys |= keys_in(value)
        else:
            keys.add(f"{type(values).__name__}.{name}")
    return keys


def test_every_key_that_there_is_stands_in_an_example(tmp_path: Path) -> None:
    shown = set().union(*(keys_in(full(example, tmp_path)) for example in EXAMPLES))
    assert keys_of(RigConfig) - shown == set()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_a_line_that_is_switched_off_shows_the_default(example: Path, tmp_path: Path) -> None:
    lines = example.read_text(encoding="utf-8").splitlines()
    off = tomllib.loads(
        "\n".join(line.removeprefix("#") for line in lines if OFF_OR_TABLE.match(line))
    )
    rig = full(example, tmp_path)
    for table, values in off.items():
        for key, value in (values if isinstance(values, dict) else {table: values}).items():
            holder = getattr(rig, table) if isinstance(values, dict) else rig
            default = type(holder).model_fields[key].default
            # Where there is no default, what stands there is an example.
            if default in (None, "", PydanticUndefined):
                continue
            stated = tuple(value) if isinstance(value, list) else value
            assert (table, key, stated) == (table, key, default)


def test_the_emulators_of_the_example_exist(tmp_path: Path) -> None:
    rig = full(FOLDER / "example_simulated.toml", tmp_path)
    assert isinstance(rig.stage, ProScanConfig)
    assert isinstance(rig.pipette, Mp285Config)
    assert rig.stage.variant in PROSCAN_VARIANTS
    assert rig.pipette.variant in MP285_VARIANTS
    for port in (rig.stage, rig.pipette):
        assert parse_faults(port.fault).faults


def test_the_microscope_of_the_example_can_have_the_injection(tmp_path: Path) -> None:
    assert isinstance(full(FOLDER / "example_microscope.toml", tmp_path).injection, InjectionConfig)
