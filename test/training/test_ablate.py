"""The paper's comparison: its rows are told apart by their folders, and its table says mean and spread."""

import json

import pytest

from distill_vo.networks import NetworkSettings
from distill_vo.student import StudentSettings, save
from training import __main__ as cli
from training import ablate
from training.mirror import untrained

LINE = {"objective": "attentive", "hint": "aht", "stages": "two", "eta": "range", "rate": 0.9295,
        "seed": 0, "ate_m": 1.0, "front_end": "dense_flow", "rpe_t_m": 0.1, "rpe_r_deg": 0.2,
        "t_err_percent": 3.0, "r_err_deg_per_100m": 2.0, "hint_error": 0.5, "trust": 0.9, "ms": 0.4,
        "parameters": 500_000, "mb": 2.0}


def test_finished_runs_are_found_again_in_the_order_of_the_table(tmp_path):
    rows = [ablate.Row(*how, rate, seed) for how in ablate.ROWS for rate in (0.73, 0.9295) for seed in (0, 1)]
    for row in reversed(rows):
        folder = tmp_path / "rows" / row.folder
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({}))
    (tmp_path / "rows" / rows[3].folder / "run.json").unlink()  # this one was stopped half-way
    assert ablate.finished(tmp_path) == rows[:3] + rows[4:]


def test_ways_of_learning_have_names_of_their_own():
    names = [ablate.label(*how) for how in ablate.ROWS]
    assert len(set(names)) == len(names)
    assert {"student_only", "aht+attentive", "aht+attentive:joint", "attentive:quantile"} <= set(names)


def test_the_interval_is_students_t():
    mean, half = ablate.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    assert half == pytest.approx(2.776 * 1.5811 / 5**0.5, rel=1e-3)  # t(0.975, 4), deviation, seeds


def test_the_table_has_one_line_for_runs_that_differ_by_their_seed_alone():
    table = [LINE | {"seed": seed, "rpe_t_m": 0.1 + 0.02 * seed} for seed in (0, 1)]
    lines = ablate.markdown([*table, LINE | {"rate": 0.73}], "made up").splitlines()[6:]
    assert len(lines) == 2
    assert "| 2 | 0.1100 ± 0.1271 |" in lines[0] and "| 1 | 0.1000 |" in lines[1]


def test_rows_of_another_teacher_are_not_put_beside_those_of_this_one(tmp_path, cache, capsys):
    shape = NetworkSettings("dense_flow", ((2, 2, 8),), (16, 16), hint_layer=1)
    network = untrained(shape, cache)
    save(tmp_path / "teacher.safetensors", network, StudentSettings(network.settings))
    row = tmp_path / "out" / "rows" / ablate.Row(*ablate.ROWS[0], 0.9295, 0).folder
    row.mkdir(parents=True)
    (row / "student.yaml").write_text("# teacher 0123\n")
    assert cli.main(["ablate", "--teacher", str(tmp_path / "teacher.safetensors"), "--cache", str(cache.path),
                     "--validation", str(cache.path), "--out", str(tmp_path / "out"), "--seeds", "1"]) == 2
    assert "begun with another teacher" in capsys.readouterr().err
    assert not (row / "log.txt").exists()
