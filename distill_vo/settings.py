"""Typed settings: dataclass <-> plain mapping (YAML, JSON), checked at once and by name.

Fields may be int, float, bool, str, Literal[...], another settings dataclass, tuples of these, or any
of these or None.
"""

from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from distill_vo.errors import InputError

T = TypeVar("T")


def load(cls: type[T], path: str | Path) -> T:
    """Read a YAML file into the dataclass `cls`; InputError names the file, the key and what it takes."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); "
                         "see config/ for examples.") from error
    return from_mapping(cls, content or {}, str(path))


def from_mapping(cls: type[T], content: Any, where: str) -> T:
    """Mapping -> dataclass `cls`. Raises InputError for unknown, missing or wrongly typed values."""
    if not isinstance(content, dict):
        raise InputError(f"{where}: is not a mapping of names to values; see config/ for examples.")
    names = [f.name for f in fields(cls)]
    if unknown := [key for key in content if key not in names]:
        raise InputError(f"{where}: '{unknown[0]}' is no setting; there are {', '.join(names)}.")
    hints = get_type_hints(cls)
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in content.items()}
    try:
        return cls(**values)
    except TypeError as error:  # a field without default is missing
        raise InputError(f"{where}: {error}; add it.") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is UnionType:  # X | None
        return None if value is None else _convert(get_args(hint)[0], value, where)
    if is_dataclass(hint):
        return from_mapping(hint, value, where)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise InputError(f"{where} is {value!r}; allowed are {', '.join(map(str, get_args(hint)))}.")
    if get_origin(hint) is tuple:
        return _convert_tuple(get_args(hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise InputError(f"{where} is {value!r}; it takes one {hint.__name__}.")
    return value


def _convert_tuple(items: tuple, value: Any, where: str) -> tuple:
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{where} is {value!r}; it takes a list.")
    if items[-1] is Ellipsis:
        items = items[:1] * len(value)
    if len(items) != len(value):
        raise InputError(f"{where} has {len(value)} entries; it takes {len(items)}.")
    return tuple(_convert(h, v, f"{where}[{i}]") for i, (h, v) in
                 enumerate(zip(items, value, strict=True)))
