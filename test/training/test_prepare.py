"""From drives to a cache: what is in it, and that nothing half-written is ever taken for whole."""

import errno
import json
import os
import resource
import tracemalloc
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.errors import InputError
from distill_vo.frontend import DenseFlow, StackedFrames
from distill_vo.trajectory import Trajectory, write_kitti
from training import prepare as preparing
from training.__main__ import main
from training.data import shards as sharding
from training.data.cache import PairCache, file_digest, join_digests
from training.data.drives import Drive, TrueFrame
from training.data.shards import join, write_shard

STRIDES = [1, -1, 2]
TEXTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (400, 900, 3), np.uint8), (9, 9), 0)
STEP = np.array([0.02, 0.0, 1.0, 0.0, 0.03, 0.0])


def image(k: int) -> np.ndarray:
    """A picture that wanders over a texture."""
    return TEXTURE[k:k + CANONICAL.height, 3 * k:3 * k + CANONICAL.width]


def pose(k: int) -> np.ndarray:
    return geometry.exp(k * STEP)


def synthetic(name: str, numbers) -> Drive:
    frames = (TrueFrame(k, image(k), pose(k)) for k in numbers)
    return Drive(name, len(numbers), {}, lambda: (CANONICAL, frames))


def written(folder: Path, drives: list[Drive], front_end: str) -> PairCache:
    """The drives as a cache, written in this process."""
    (folder / "shards").mkdir(parents=True)
    places = {drive.name: folder / "shards" / drive.name for drive in drives}
    for drive in drives:
        write_shard(drive, places[drive.name], front_end, STRIDES)
    tracks, digest = join(places, folder, front_end, STRIDES)
    preparing.write_index(folder, tracks, digest, {"front_end": front_end})
    return PairCache.open(folder, front_end)


@pytest.fixture(scope="module", params=["dense_flow", "stacked_frames"])
def cache(request, tmp_path_factory) -> PairCache:
    """Two drives; in the second frame 3 is missing."""
    drives = [synthetic("a", range(5)), synthetic("b", [0, 1, 2, 4, 5])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "PART_BYTES", 1)  # joined pair by pair
        return written(tmp_path_factory.mktemp("cache"), drives, request.param)


def tracks(cache: PairCache, name: str, stride: int) -> list[slice]:
    return [slice(t.start, t.stop) for t in cache.tracks if (t.name, t.stride) == (name, stride)]


def chained(motions: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    for T in geometry.from_motion(motions):
        out = out @ T
    return out


def test_a_track_has_no_gap(cache):
    lengths = {key: [s.stop - s.start for s in tracks(cache, *key)] for key in
               [("a", 1), ("a", -1), ("a", 2), ("b", 1), ("b", -1), ("b", 2)]}
    assert lengths == {("a", 1): [4], ("a", -1): [4], ("a", 2): [2],
                       ("b", 1): [2, 1], ("b", -1): [1, 2], ("b", 2): [2]}
    assert cache.tracks[-1].stop == len(cache)
    assert len(cache.windows(2)) == 2 + 2 + 1 + 1 + 1 + 1


def test_a_tracks_motions_chained_are_the_drives_poses(cache):
    rows, = tracks(cache, "a", 1)
    np.testing.assert_allclose(chained(cache.motions[rows]), pose(4), atol=1e-12)
    rows, = tracks(cache, "b", 2)
    np.testing.assert_allclose(chained(cache.motions[rows]), pose(4), atol=1e-12)
    first, second = tracks(cache, "b", 1)
    np.testing.assert_allclose(chained(cache.motions[first]), pose(2), atol=1e-12)
    np.testing.assert_allclose(pose(4) @ chained(cache.motions[second]), pose(5), atol=1e-12)


def test_the_drive_run_backwards_ends_where_it_began(cache):
    for name in "ab":
        there, back = tracks(cache, name, 1), tracks(cache, name, -1)
        for a, b in zip(there, back[::-1], strict=True):
            motions = np.concatenate([cache.motions[a], cache.motions[b]])
            np.testing.assert_allclose(chained(motions), np.eye(4), atol=1e-12)


def test_inputs_are_what_the_front_end_makes_of_the_two_frames(cache):
    see = {"dense_flow": DenseFlow, "stacked_frames": StackedFrames}[cache.front_end]()

    def pair(*numbers: int) -> np.ndarray:
        return see(*(image(k) if see.colour else cv2.cvtColor(image(k), cv2.COLOR_BGR2GRAY) for k in numbers))

    expected = {("a", 1): [(0, 1), (1, 2), (2, 3), (3, 4)], ("a", -1): [(4, 3), (3, 2), (2, 1), (1, 0)],
                ("b", 1): [(0, 1), (1, 2), (4, 5)], ("b", -1): [(5, 4), (2, 1), (1, 0)],
                ("b", 2): [(0, 2), (2, 4)]}
    for key, numbers in expected.items():
        rows = np.concatenate([np.arange(s.start, s.stop) for s in tracks(cache, *key)])
        np.testing.assert_allclose(cache.inputs[rows], [pair(*n) for n in numbers], atol=2e-3)


def test_inputs_read_like_an_array(cache):
    whole = np.asarray(cache.inputs)
    assert whole.shape == cache.inputs.shape == (len(cache), *whole.shape[1:])
    assert whole.dtype == cache.inputs.dtype
    np.testing.assert_array_equal(cache.inputs[3], whole[3])
    np.testing.assert_array_equal(cache.inputs[2:7][1:3].astype(np.float32), whole[3:5].astype(np.float32))
    windows = np.array([[0, 1], [4, 5]])
    np.testing.assert_array_equal(cache.inputs[windows], whole[windows])


def test_the_digest_is_that_of_the_arrays_whether_written_down_or_not(cache):
    arrays = ("inputs", "motions") if cache.front_end == "dense_flow" else ("frames", "pairs", "motions")
    found = join_digests(file_digest(cache.path / f"{name}.npy") for name in arrays)
    assert cache.digest == found
    assert replace(cache, about={}).digest == found
    assert replace(cache, about={"digest": "as written"}).digest == "as written"  # not computed anew


def test_other_data_has_another_digest(cache, tmp_path):
    def digest(last: int) -> str:
        drives = [synthetic("x", range(5)), synthetic("y", [0, 1, 2, 4, last])]
        return written(tmp_path / str(last), drives, cache.front_end).digest

    assert digest(5) == cache.digest != digest(6)


@pytest.mark.parametrize("front_end", ["dense_flow", "stacked_frames"])
def test_memory_does_not_grow_with_the_drive(tmp_path, monkeypatch, front_end):
    monkeypatch.setattr(sharding, "PART_BYTES", 1 << 20)
    peaks = []
    for frames in (8, 60):
        tracemalloc.start()
        written(tmp_path / str(frames), [synthetic("a", range(frames))], front_end)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000  # one frame is 370 kB


def test_caches_that_are_refused(tmp_path):
    cache = written(tmp_path / "c", [synthetic("a", range(3))], "dense_flow")
    with pytest.raises(InputError, match="c: holds pairs as dense_flow sees them, .* takes stacked_frames"):
        PairCache.open(cache.path, "stacked_frames")
    with pytest.raises(InputError, match="nowhere: is no finished cache; make one with"):
        PairCache.open(tmp_path / "nowhere", "dense_flow")
    index, inputs = cache.path / "cache.json", cache.path / "inputs.npy"
    text, data = index.read_text(), inputs.read_bytes()
    inputs.write_bytes(data[:-100])
    with pytest.raises(InputError, match="inputs.npy: is missing or damaged"):
        PairCache.open(cache.path, "dense_flow")
    inputs.write_bytes(data)
    for wrong, sentence in ((text[:50], "cache.json: is damaged"), ("[]", "cache.json: is damaged"),
                            (text.replace('"format": 2', '"format": 9'), "was written in format 9"),
                            (text.replace('"stop": 5', '"stop": 6'), "disagree on the number of pairs")):
        index.write_text(wrong)
        with pytest.raises(InputError, match=sentence):
            PairCache.open(cache.path, "dense_flow")


def test_a_drive_that_fails_leaves_no_shard(tmp_path):
    def broken():
        yield TrueFrame(0, image(0), pose(0))
        yield TrueFrame(1, image(1), pose(1))
        raise OSError(errno.EIO, "the disk fell off")

    with pytest.raises(OSError):
        write_shard(Drive("a", 2, {}, lambda: (CANONICAL, broken())), tmp_path / "a", "dense_flow", STRIDES)
    with pytest.raises(InputError, match="b: none of its 4 images can be read"):
        write_shard(Drive("b", 4, {}, lambda: (CANONICAL, iter(()))), tmp_path / "b", "dense_flow", STRIDES)
    assert list(tmp_path.iterdir()) == []


def test_not_one_pair_is_no_cache(tmp_path):
    with pytest.raises(InputError, match="not one pair of readable consecutive frames"):
        written(tmp_path, [synthetic("a", [0, 3, 7])], "dense_flow")
    assert not (tmp_path / "cache.json").exists()


# --- the command


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
    (["--jobs", "0"], "--jobs: 0 processes do nothing"),
    (["--camera-height", "0"], "--camera-height: 0.0 m is no height"),
    (["--camera-height", "nan"], "--camera-height: nan m is no height")])
def test_options_that_make_no_sense(tmp_path, capsys, options, sentence):
    assert main(["prepare", str(tmp_path), "--out", str(tmp_path / "out"), *options]) == 2
    assert f"error: {sentence}" in capsys.readouterr().err


def test_the_same_name_twice_is_refused(whole, tmp_path, capsys):
    root, _ = whole
    assert main(["prepare", str(root), str(root), "--out", str(tmp_path / "out")]) == 2
    assert "_00 is there twice; rename" in capsys.readouterr().err


def test_a_process_that_is_killed_ends_the_run(tmp_path):
    drive = Drive("bag", 10, {}, partial(os._exit, 9))
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
