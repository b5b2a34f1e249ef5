"""A wrong setting fails at once, by name, saying what would be right."""

from dataclasses import asdict, dataclass
from typing import Literal

import pytest

from distill_vo.errors import InputError
from distill_vo.settings import from_mapping, load, read_yaml


@dataclass(frozen=True)
class Inner:
    size: int = 3


@dataclass(frozen=True)
class Outer:
    rate: float
    kind: Literal["ht", "aht"] = "ht"
    widths: tuple[int, ...] = ()
    shape: tuple[int, int] = (1, 2)
    inner: Inner = Inner()


def test_settings_survive_being_written_and_read():
    settings = Outer(0.5, "aht", (1, 2, 3), (4, 5), Inner(7))
    assert from_mapping(Outer, asdict(settings), "here") == settings


@pytest.mark.parametrize("content, says", [
    ({"rate": 1.0, "kind": "htt"}, "kind is 'htt'; allowed are ht, aht"),
    ({"rate": "fast"}, "rate is 'fast'; it takes one float"),
    ({"rate": True}, "rate is True"),
    ({"rate": 1.0, "widths": [1, 2.5]}, r"widths\[1\] is 2.5"),
    ({"rate": 1.0, "shape": [1]}, "shape has 1 entries; it takes 2"),
    ({"rate": 1.0, "inner": {"sise": 1}}, "'sise' is no setting; there are size"),
    ({}, "rate"),
    ([1], "not a mapping"),
])
def test_wrong_settings_are_named(content, says):
    with pytest.raises(InputError, match=f"here.*{says}"):
        from_mapping(Outer, content, "here")


def test_yaml_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("{: [")
    with pytest.raises(InputError, match=r"a\.yaml"):
        load(Outer, tmp_path / "a.yaml")


def test_yaml_cannot_make_objects(tmp_path):
    (tmp_path / "a.yaml").write_text("rate: !!python/object/apply:os.getcwd []")
    with pytest.raises(InputError, match=r"a\.yaml"):
        load(Outer, tmp_path / "a.yaml")


@pytest.mark.parametrize("text, said", [
    ("a: &a [1, 2]\nb: [*a, *a]\n", "aliases"), ("[" * 3000, "levels"), ("a: 2001-99-99\n", "YAML"),
    ("a: !!python/object/apply:os.abort []\n", "YAML")])
def test_yaml_that_takes_all_time_or_memory_or_runs_code_is_refused(tmp_path, text, said):
    (tmp_path / "hostile.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_yaml(tmp_path / "hostile.yaml", "remedy.")
