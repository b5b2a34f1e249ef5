"""What is in a cache of frame pairs, and what is refused as one."""

import errno
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import PERIOD_S, chained, image, pose, synthetic, tracks

from distill_vo.camera import CANONICAL
from distill_vo.errors import InputError
from distill_vo.frame import CanonicalView
from distill_vo.frontend import FRONT_ENDS
from training import prepare as preparing
from training.data import shards as sharding
from training.data.cache import FORMAT, PairCache, file_digest, join_digests
from training.data.drives import Drive, TrueFrame
from training.data.shards import join, write_shard

STRIDES = [1, -1, 2]

def written(folder: Path, drives: list[Drive], front_end: str) -> PairCache:
    """The drives as a cache, written in this process."""
    (folder / "shards").mkdir(parents=True)
    places = {drive.name: folder / "shards" / drive.name for drive in drives}
    for drive in drives:
        write_shard(drive, places[drive.name], front_end, STRIDES)
    tracks, digest = join(places, folder, front_end, STRIDES)
    preparing.write_index(folder, tracks, digest, {"front_end": front_end})
    return PairCache.open(folder, front_end)


@pytest.fixture(scope="module", params=FRONT_ENDS)
def cache(request, tmp_path_factory) -> PairCache:
    """Two drives; in the second frame 3 is missing."""
    drives = [synthetic("a", range(5)), synthetic("b", [0, 1, 2, 4, 5])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "PART_BYTES", 1)  # joined pair by pair
        return written(tmp_path_factory.mktemp("cache"), drives, request.param)


def test_a_track_has_no_gap(cache):
    lengths = {key: [s.stop - s.start for s in tracks(cache, *key)] for key in
               [("a", 1), ("a", -1), ("a", 2), ("b", 1), ("b", -1), ("b", 2)]}
    assert lengths == {("a", 1): [4], ("a", -1): [4], ("a", 2): [2],
                       ("b", 1): [2, 1], ("b", -1): [1, 2], ("b", 2): [2]}
    assert cache.tracks[-1].stop == len(cache)
    assert len(cache.windows(2)) == 2 + 2 + 1 + 1 + 1 + 1


def test_a_track_knows_the_time_between_the_frames_of_its_pairs(cache):
    assert {track.seconds / abs(track.stride) for track in cache.tracks} == {PERIOD_S}


def test_a_frame_that_comes_again_is_taken_once(cache, tmp_path):
    again = written(tmp_path, [synthetic("a", [0, 1, 1, 2, 3, 4]), synthetic("b", [0, 1, 2, 4, 5])],
                    cache.front_end)
    assert again.tracks == cache.tracks and again.digest == cache.digest


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
    see = FRONT_ENDS[cache.front_end]()

    def pair(*numbers: int) -> np.ndarray:
        view = CanonicalView(CANONICAL, see.whole)
        return see(*(view(image(k)) for k in numbers))

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
    arrays = ("inputs", "motions") if FRONT_ENDS[cache.front_end].is_flow else ("frames", "pairs", "motions")
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
    monkeypatch.setattr(sharding, "PART_BYTES", 1 << 18)
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
    about = json.loads(text)
    track, *_ = about["tracks"]
    inputs.write_bytes(data[:-100])
    with pytest.raises(InputError, match="inputs.npy: is missing or damaged"):
        PairCache.open(cache.path, "dense_flow")
    inputs.write_bytes(data)
    for wrong, sentence in ((text[:50], "cache.json: is damaged"), ("[]", "cache.json: is damaged"),
                            (text.replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}'),
                             f"was written in format {FORMAT + 1}"),
                            *((json.dumps(about | {"tracks": wrong}), "cache.json: is damaged") for wrong in (
                                [], [{}], {}, [1], [track | {"stop": "5"}], [track | {"more": 1}])),
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
        write_shard(Drive("a", 2, 0.1, {}, lambda: (CANONICAL, broken())), tmp_path / "a", "dense_flow",
                    STRIDES)
    with pytest.raises(InputError, match="b: none of its 4 images can be read"):
        write_shard(Drive("b", 4, 0.1, {}, lambda: (CANONICAL, iter(()))), tmp_path / "b", "dense_flow",
                    STRIDES)
    assert list(tmp_path.iterdir()) == []


def test_not_one_pair_is_no_cache(tmp_path):
    with pytest.raises(InputError, match="not one pair of readable consecutive frames"):
        written(tmp_path, [synthetic("a", [0, 3, 7])], "dense_flow")
    assert not (tmp_path / "cache.json").exists()
