"""From drives to a cache: what is in it, and that nothing half-written is ever taken for whole."""

import json
import os
import resource
from functools import partial
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock
from made_up import chained, image, pose, synthetic, tracks

from distill_vo.errors import InputError
from distill_vo.trajectory import Trajectory, write_kitti
from training import prepare as preparing
from training.__main__ import main
from training.data.cache import PairCache
from training.data.drives import Drive
from training.data.shards import write_shard


def make_kitti(root: Path) -> Path:
    for name, frames in (("00", 6), ("01", 5)):
        folder = root / "sequences" / name / "image_2"
        folder.mkdir(parents=True)
        for k in range(frames):
            cv2.imwrite(str(folder / f"{k:06d}.png"), image(k))
        (folder.parent / "calib.txt").write_text("P2: 380 0 319.5 0 0 380 91 0 0 0 1 0\n")
        write_kitti(root / "poses" / f"{name}.txt", Trajectory.from_poses(
            np.arange(frames), np.array([pose(k) for k in range(frames)])))
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.glob("*") if f.name not in ("lock", "plan.json")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A KITTI folder and the files of its cache, written without interruption."""
    root = make_kitti(tmp_path_factory.mktemp("kitti"))
    out = root.parent / "whole"
    assert main(["prepare", str(root), "--out", str(out), "--jobs", "2"]) == 0
    return root, files(out)


def test_prepared_motions_are_the_poses(whole, tmp_path):
    root, there = whole
    for name, content in there.items():
        (tmp_path / name).write_bytes(content)
    cache = PairCache.open(tmp_path, "dense_flow")
    rows, = tracks(cache, f"{root.name}_00", 1)
    np.testing.assert_allclose(chained(cache.motions[rows]), pose(5), atol=1e-9)
    assert cache.about["origins"][0]["camera"]["fx"] == 380
    assert not (root.parent / "whole" / "shards").exists()


def test_an_interrupted_run_goes_on_to_the_same_bytes(whole, tmp_path, monkeypatch, capsys):
    root, there = whole
    command = ["prepare", str(root), "--out", str(tmp_path), "--jobs", "1"]
    with monkeypatch.context() as patch:  # all drives are read when Ctrl-C is pressed
        patch.setattr(preparing, "join", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(command) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert not (tmp_path / "cache.json").exists()
    first, second = sorted((tmp_path / "shards").iterdir())
    made = (first / "shard.json").stat().st_mtime_ns
    os.replace(second, second.with_name(f".{second.name}.123"))  # it was being written
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "join", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(command) == 130
    assert (first / "shard.json").stat().st_mtime_ns == made  # what was whole is not made again
    assert second.exists() and len(list((tmp_path / "shards").iterdir())) == 2
    assert main(command) == 0
    assert files(tmp_path) == there
    assert main(command) == 0
    assert "is finished already" in capsys.readouterr().out


@pytest.mark.parametrize("limit", [20_000, 90_000])  # bytes: while drives are read, while they are joined
def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(whole, tmp_path, capsys, limit):
    root, there = whole
    command = ["prepare", str(root), "--out", str(tmp_path), "--jobs", "1"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # no file can grow beyond that
    try:
        assert main(command) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: {tmp_path}") and "make room" in error
    assert {file.name for file in tmp_path.iterdir()} == {"lock", "plan.json", "shards"}
    assert len(list((tmp_path / "shards").iterdir())) == (0 if limit == 20_000 else 2)
    assert main(command) == 0
    assert files(tmp_path) == there


def test_a_cache_is_not_written_twice_at_once(whole, tmp_path, capsys):
    root, _ = whole
    with FileLock(tmp_path / "lock"):
        assert main(["prepare", str(root), "--out", str(tmp_path)]) == 2
    assert f"error: {tmp_path}: another run is writing this cache" in capsys.readouterr().err


@pytest.mark.parametrize("option, reason", [
    (["--strides", "1"], "other strides"), (["--front-end", "stacked_frames"], "other front_end"),
    (["--sequences", "00"], "other drives and origins"), (["--camera-height", "1.2"], "other origins")])
def test_a_cache_that_was_begun_otherwise_is_refused(whole, capsys, option, reason):
    root, there = whole
    out = root.parent / "whole"
    assert main(["prepare", str(root), "--out", str(out), *option]) == 2
    assert f"error: {out}: was begun with {reason} (see {out}/plan.json)" in capsys.readouterr().err
    assert files(out) == there


def test_a_cache_of_an_earlier_version_is_refused(whole, tmp_path, capsys):
    root, there = whole
    for name, content in there.items():
        (tmp_path / name).write_bytes(content)
    plan = json.loads((root.parent / "whole" / "plan.json").read_text())
    del plan["format"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert main(["prepare", str(root), "--out", str(tmp_path)]) == 2
    assert f"error: {tmp_path}: was begun with other format" in capsys.readouterr().err


@pytest.mark.parametrize("options, sentence", [
    (["--strides", "0"], "--strides: 0 pairs a frame with itself"),
    (["--camera-height", "0"], "--camera-height: 0.0 m is no height"),
    (["--camera-height", "nan"], "--camera-height: nan m is no height")])
def test_options_that_make_no_sense(tmp_path, capsys, options, sentence):
    assert main(["prepare", str(tmp_path), "--out", str(tmp_path / "out"), *options]) == 2
    assert f"error: {sentence}" in capsys.readouterr().err


def test_a_name_that_no_file_can_have_is_refused(tmp_path, capsys):
    assert main(["prepare", "n" * 300, "--out", str(tmp_path / "out")]) == 2
    assert "nnn: File name too long; check the path" in capsys.readouterr().err


def test_the_same_name_twice_is_refused(whole, tmp_path, capsys):
    root, _ = whole
    assert main(["prepare", str(root), str(root), "--out", str(tmp_path / "out")]) == 2
    assert "_00 is there twice; rename" in capsys.readouterr().err


def test_a_process_that_is_killed_ends_the_run(tmp_path):
    drive = Drive("bag", 10, 0.1, {}, partial(os._exit, 9))
    with pytest.raises(InputError, match="bag: the process that read it was killed"):
        preparing.prepare([drive], "a bag", tmp_path, "dense_flow", [1], jobs=1)
    assert not (tmp_path / "cache.json").exists()


def test_streets_are_rendered_while_they_are_prepared(tmp_path):
    pytest.importorskip("panda3d")
    plan = tmp_path / "streets.yaml"
    plan.write_text("sequences: 1\n"
                    "settings: {frames: 3, seed: 5, width: 320, height: 96, focal: 190, cx: 160, cy: 46}\n")
    assert main(["prepare", str(plan), "--out", str(tmp_path / "out"), "--strides", "1"]) == 0
    cache = PairCache.open(tmp_path / "out", "dense_flow")
    assert len(cache) == 2 and np.isfinite(cache.inputs).all() and cache.inputs.any()
    plan.write_text(plan.read_text().replace("seed: 5", "seed: 6"))
    assert main(["prepare", str(plan), "--out", str(tmp_path / "out"), "--strides", "1"]) == 2


def test_counting_is_what_the_progress_bar_shows(tmp_path):
    seen = count()
    write_shard(synthetic("a", range(7)), tmp_path / "a", "dense_flow", [1], lambda: next(seen))
    assert next(seen) == 7
