"""Turn driving data into memory-mapped frame pairs, once.

SOURCE is a folder in KITTI odometry layout (or one of its sequences), a rosbag2 bag with a pose
topic, or a YAML file of rehearsal settings, whose streets are rendered on the way.

  python -m training prepare config/rehearsal_train.yaml --out cache/train
  python -m training prepare KITTI_ROOT --out cache/kitti
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from distill_vo import geometry
from distill_vo.camera import CANONICAL, CanonicalView
from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS
from distill_vo.trajectory import write_whole
from training.data.cache import Track, write_index
from training.data.drives import Drive, find_drives


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cache")
    parser.add_argument("--strides", type=int, nargs="+", default=[1, 2, -1], metavar="N",
                        help="frames between the two of a pair; negative: backwards in time "
                             "(default: 1 2 -1)")
    parser.add_argument("--front-end", choices=FRONT_ENDS, default="dense_flow",
                        help="what is kept of a pair (default: dense_flow)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")


def run(args: argparse.Namespace) -> None:
    if 0 in args.strides:
        raise InputError("--strides: 0 pairs a frame with itself; give numbers such as 1 2 -1.")
    drives = [drive for source in args.sources for drive in find_drives(source)]
    said = ", ".join(source.name for source in args.sources)
    strides = sorted(set(args.strides), key=lambda s: (abs(s), -s))
    prepare(drives, said, args.out, args.front_end, strides, args.jobs)


def prepare(drives: list[Drive], said: str, out: Path, front_end: str, strides: list[int],
            jobs: int) -> None:
    """Write the cache of all drives at all strides; what an earlier run finished is kept.

    `said` names the sources in a reader's words.
    """
    about = {"front_end": front_end, "camera": vars(CANONICAL),
             "said": said, "drives": [drive.name for drive in drives], "strides": strides}
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / "lock", timeout=0):
            _claim(out, about)
            if (out / "cache.json").exists():
                print(f"{out}: is finished already.")
                return
            _write_shards(drives, out, front_end, strides, jobs)
            tracks = _merge(drives, out, FRONT_ENDS[front_end], strides)
            write_index(out, tracks, about)
            shutil.rmtree(out / "shards")
    except Timeout:
        raise InputError(f"{out}: another run is writing this cache; wait for it or choose another "
                         "--out.") from None
    print(f"{out}: {tracks[-1].stop} pairs of {len(drives)} drives.")


def _claim(out: Path, about: dict) -> None:
    """Refuse a folder that was begun with other data or settings."""
    plan, text = out / "plan.json", json.dumps(about, indent=1, default=str)
    if plan.exists() and plan.read_text() != text:
        raise InputError(f"{out}: was begun with other sources or strides (see {plan}); choose another "
                         "--out or remove the folder.")
    write_whole(plan, text)


def _write_shards(drives: list[Drive], out: Path, front_end: str, strides: list[int], jobs: int) -> None:
    todo = [d for d in drives if not _shard(out, d).exists()]
    bar = tqdm(total=len(drives), initial=len(drives) - len(todo), unit="drive", smoothing=0)
    # Spawned, not forked: OpenCV's and PyTorch's threads do not survive a fork.
    with bar, ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_write_shard, d, _shard(out, d), front_end, strides) for d in todo]
        try:
            for future in as_completed(futures):
                future.result()
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _shard(out: Path, drive: Drive) -> Path:
    return out / "shards" / drive.name


def _write_shard(drive: Drive, folder: Path, front_end: str, strides: list[int]) -> None:
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for stride, (inputs, motions) in pair_up(drive, front_end, strides).items():
        np.save(beside / f"inputs{stride}.npy", inputs)
        np.save(beside / f"motions{stride}.npy", motions)
    os.replace(beside, folder)


def pair_up(drive: Drive, front_end: str,
            strides: Iterable[int]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Front-end inputs (N, C, H, W) and motions (N, 6) float64 of one drive, by stride.

    Pairs of a negative stride come in the order of the drive run backwards. A frame that cannot be
    read breaks no pair but its own.
    """
    camera, frames = drive.open()
    see = FRONT_ENDS[front_end]()
    view = CanonicalView(camera, see.colour)
    scale = np.array([CANONICAL.mount_height_m / camera.mount_height_m] * 3 + [1.0] * 3)
    pairs: dict[int, list] = {stride: [] for stride in strides}
    kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # last frame and pose of each |stride|
    for k, (image, pose) in enumerate(frames):
        frame = None if image is None else (view(image), pose)
        for stride in strides:
            if k % abs(stride) or frame is None:
                continue
            if k - abs(stride) in kept:
                first, second = kept[k - abs(stride)], frame
                if stride < 0:
                    first, second = second, first
                motion = geometry.to_motion(geometry.inverse(first[1]) @ second[1]) * scale
                pairs[stride].append((see(first[0], second[0]), motion))
        if frame is not None:
            kept[k] = frame
        kept.pop(k - max(map(abs, strides)), None)
    for stride, rows in pairs.items():
        pairs[stride] = rows[::-1] if stride < 0 else rows
    return {s: (np.array([x for x, _ in rows], see.dtype).reshape(-1, *see.shape),
                np.array([p for _, p in rows], np.float64).reshape(-1, 6))
            for s, rows in pairs.items()}


def _merge(drives: list[Drive], out: Path, front_end: type, strides: list[int]) -> list[Track]:
    """Join the shards to two arrays, a shard at a time, so that memory stays flat."""
    tracks, start = [], 0
    for drive in drives:
        for stride in strides:
            shard = np.load(_shard(out, drive) / f"motions{stride}.npy", mmap_mode="r")
            tracks.append(Track(drive.name, stride, start, start + len(shard)))
            start += len(shard)
    if start == 0:
        raise InputError(f"{out}: the sources hold not one pair of readable frames with poses; check "
                         "them.")
    for kind, shape, dtype in (("inputs", front_end.shape, front_end.dtype), ("motions", (6,), np.float64)):
        beside = out / f".{kind}.npy"
        whole = np.lib.format.open_memmap(beside, "w+", dtype, (start, *shape))
        for track in tracks:
            shard = out / "shards" / track.name / f"{kind}{track.stride}.npy"
            whole[track.start:track.stop] = np.load(shard)
        whole.flush()
        os.replace(beside, out / f"{kind}.npy")
    return tracks
