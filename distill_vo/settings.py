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

LARGEST_BYTES = 4_000_000  # of a YAML file; reading one takes seconds a megabyte
DEEPEST = 50

T = TypeVar("T")
Bounds = dict[str, tuple[float, float]]  # name of a field -> the least and the most it may be


def load(cls: type[T], path: str | Path) -> T:
    """Read a YAML file into the dataclass `cls`; InputError names the file, the key and what it takes."""
    return from_mapping(cls, read_yaml(path, "see config/ for examples.") or {}, str(path))


def read_yaml(path: str | Path, remedy: str) -> Any:
    """A YAML file as plain values. Raises InputError, which ends with the remedy.

    Within bounds, as a few lines can take all time or memory: aliases stand for what they repeat, and depth
    takes time by its square.
    """
    try:
        if Path(path).stat().st_size > LARGEST_BYTES:
            raise ValueError(f"larger than {LARGEST_BYTES // 10**6} MB")
        text, depth = Path(path).read_text(), 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                raise ValueError(f"aliases (*) and more than {DEEPEST} levels are not taken")
        return yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except Exception as error:  # yaml lets many kinds out: of dates, of numbers, of depth
        raise InputError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); "
                         f"{remedy}") from error


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
    except InputError as error:  # of the dataclass itself, which does not know where it is from
        raise InputError(f"{where}: {error}") from error


def check(settings: Any, bounds: Bounds) -> None:
    """Raises InputError by the first field of a dataclass that is out of its bounds; NaN always is."""
    for name, (least, most) in bounds.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            raise InputError(f"{name}: is {value}; give a number from {least} to {most}.")


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
