"""Turn driving data into memory-mapped frame pairs, once.

SOURCE is a folder in KITTI odometry layout (or one of its sequences), your own robot's rosbag2 bag with
poses (an Odometry, PoseStamped or PoseWithCovarianceStamped topic, or TF), or a YAML file of rehearsal
settings, whose streets are rendered on the way. Run the same command again to go on after an interruption.

  python -m training prepare config/rehearsal_train.yaml --out cache/train
  python -m training prepare KITTI_ROOT --out cache/kitti
  python -m training prepare KITTI_ROOT --sequences test --out cache/kitti_test
  python -m training prepare bags/monday bags/tuesday --pose-topic /odom --camera-height 0.4 --out cache/robot
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
from filelock import FileLock, Timeout
from tqdm import tqdm

from distill_vo.camera import CANONICAL
from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS
from distill_vo.trajectory import write_whole
from training.arguments import positive
from training.data.cache import FORMAT, write_index
from training.data.drives import Choice, Drive, find_drives
from training.data.shards import is_whole, join, write_shard

SPAWN = multiprocessing.get_context("spawn")  # OpenCV's and PyTorch's threads do not survive a fork


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cache")
    parser.add_argument("--strides", type=int, nargs="+", default=[1, 2, -1], metavar="N",
                        help="frames between the two of a pair; negative: backwards in time "
                             "(default: 1 2 -1)")
    parser.add_argument("--front-end", choices=FRONT_ENDS, default="dense_flow",
                        help="what is kept of a pair (default: dense_flow)")
    parser.add_argument("--sequences", metavar="LIST",
                        help="of a KITTI folder: train (00-08), test (09-10) or such as 00,02-05 "
                             "(default: train; all rehearsal streets)")
    parser.add_argument("--camera-height", type=float, metavar="M",
                        help="of the camera above the road, metres; the scale hangs on it (default: 1.65)")
    parser.add_argument("--image-topic", metavar="TOPIC", help="of a bag with several")
    parser.add_argument("--pose-topic", metavar="TOPIC", help="of a bag with several; /tf for odom -> base")
    parser.add_argument("--base-frame", metavar="FRAME",
                        help="of the robot in a bag's transforms (default: base_link)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(),
                        help="processes (default: all cores)")


def run(args: argparse.Namespace) -> None:
    if 0 in args.strides:
        raise InputError("--strides: 0 pairs a frame with itself; give numbers such as 1 2 -1.")
    if args.camera_height is not None and not 0 < args.camera_height < 100:
        raise InputError(f"--camera-height: {args.camera_height} m is no height of a camera above the road.")
    in_colour = FRONT_ENDS[args.front_end].whole == "colour"
    choice = Choice(args.sequences, in_colour, args.camera_height, args.image_topic, args.pose_topic,
                    args.base_frame)
    drives = [drive for source in args.sources for drive in find_drives(source, choice)]
    said = ", ".join(source.name for source in args.sources)
    strides = sorted(set(args.strides), key=lambda s: (abs(s), -s))
    prepare(drives, said, args.out, args.front_end, strides, args.jobs)


def prepare(drives: list[Drive], said: str, out: Path, front_end: str, strides: list[int],
            jobs: int) -> None:
    """Write the cache of all drives at all strides; what an earlier run finished is kept.

    `said` names the sources in a reader's words. Raises InputError, also where the disk is full.
    """
    names = [drive.name for drive in drives]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"sources: {twice[0]} is there twice; rename one of the folders or bags.")
    about = {"format": FORMAT, "front_end": front_end, "camera": vars(CANONICAL), "said": said,
             "drives": names, "strides": strides, "origins": [drive.origin for drive in drives]}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / "lock", timeout=0):
            _claim(out, about)
            if not (out / "cache.json").exists():
                pairs = _write_cache(drives, out, jobs, about)
                print(f"{out}: {pairs} pairs of {len(drives)} drives.")
            else:
                print(f"{out}: is finished already.")
            shutil.rmtree(out / "shards", ignore_errors=True)
    except Timeout:
        raise InputError(f"{out}: another run is writing this cache; wait for it or choose another "
                         "--out.") from None
    except OSError as error:
        raise InputError(f"{error.filename or out}: {error.strerror}; make room or take another place, then "
                         "run the same command again.") from error


def _claim(out: Path, about: dict) -> None:
    """Refuse a folder that was begun with other data or settings."""
    file, about = out / "plan.json", json.loads(json.dumps(about))
    if file.exists():
        try:
            plan = json.loads(file.read_text())
            changed = [key for key in plan | about if about.get(key) != plan.get(key)]
        except (ValueError, TypeError):
            raise InputError(f"{file}: is damaged; remove {out} and prepare it anew.") from None
        if changed:
            raise InputError(f"{out}: was begun with other {' and '.join(changed)} (see {file}); choose "
                             "another --out or remove the folder.")
    elif (out / "cache.json").exists() or (out / "shards").exists():
        raise InputError(f"{out}: holds a cache whose plan.json is lost; choose another --out or remove it.")
    else:
        write_whole(file, json.dumps(about, indent=1))


def _write_cache(drives: list[Drive], out: Path, jobs: int, about: dict) -> int:
    """All shards that are not there yet, then the arrays, then cache.json; the number of pairs."""
    (out / "shards").mkdir(exist_ok=True)
    for folder in (out / "shards").iterdir():  # what a run that was killed left behind
        if folder.name.startswith(".") or not is_whole(folder):
            shutil.rmtree(folder)
    shards = {drive.name: out / "shards" / drive.name for drive in drives}
    todo = [drive for drive in drives if not is_whole(shards[drive.name])]
    total, left = (sum(drive.frames for drive in some) for some in (drives, todo))
    with tqdm(total=total, initial=total - left, unit="frame", smoothing=0, disable=None) as bar:
        how = about["front_end"], about["strides"]
        _write_shards([(drive, shards[drive.name], *how) for drive in todo], jobs, bar)
    tracks, digest = join(shards, out, *how)
    write_index(out, tracks, digest, about)
    return tracks[-1].stop


def _write_shards(todo: list[tuple], jobs: int, bar: tqdm) -> None:
    """Call write_shard with each of these arguments, in parallel; the first that fails ends all."""
    seen = SPAWN.Value("Q")
    threads = ThreadPoolExecutor(jobs)
    waiting = {threads.submit(_in_own_process, seen, *args) for args in todo}
    start = bar.n
    try:
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            bar.update(start + seen.value - bar.n)
            for future in done:
                future.result()
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        threads.shutdown()


def _in_own_process(seen, drive: Drive, *args) -> None:
    """Write a shard in a process that ends with it: Panda3D never gives back what a world took."""
    try:
        with ProcessPoolExecutor(1, SPAWN, _begin_process, (seen,)) as pool:
            pool.submit(_write_counted, drive, *args).result()
    except BrokenProcessPool:
        raise InputError(f"{drive.name}: the process that read it was killed, perhaps for want of memory; "
                         "run the same command again with fewer --jobs.") from None


def _begin_process(seen) -> None:
    """Be one thread, be stopped by the parent alone, and do not outlive it."""
    global _seen
    _seen = seen
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _write_counted(*args) -> None:
    def count() -> None:
        with _seen.get_lock():
            _seen.value += 1

    write_shard(*args, count)
