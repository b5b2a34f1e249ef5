"""The rehearsal world: rendered streets with exact ground truth, as frames or in KITTI odometry layout.

    for frame in sequence(RehearsalSettings(seed=1, frames=500), 0): frame.image, frame.pose

A sequence is a drive of a car at 10 Hz through a world of its own. Images are BGR (H, W, 3) uint8; poses are
camera k to camera 0 in optical axes (x right, y down, z forward), metres. Sequence i of a seed is the same
to the last bit however many are asked for and by however many processes.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from distill_vo import geometry
from distill_vo import settings as typed
from distill_vo.errors import InputError
from training.arguments import positive
from training.data.along import load_trajectories
from training.data.drive import DT
from training.data.world import World

# Stored, not squeezed: of what is noisy little would be saved, in ten times the time.
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]


BOUNDS: typed.Bounds = {
    "frames": (2, 100_000), "seed": (0, 2**63), "width": (64, 2048), "height": (64, 2048),
    "focal": (50, 5000), "cx": (0, 2048), "cy": (0, 2048), "camera_height": (0.3, 5),
    "camera_height_sigma": (0, 0.3), "camera_forward": (-5, 5), "camera_forward_sigma": (0, 1),
    "focal_sigma": (0, 100), "centre_sigma": (0, 50), "pitch_deg": (-20, 20), "pitch_sigma_deg": (0, 5),
    "yaw_sigma_deg": (0, 5), "roll_sigma_deg": (0, 5), "speed_spread": (0, 1)}


@dataclass(frozen=True)
class RehearsalSettings:
    """What is rendered. Sigmas are standard deviations from sequence to sequence.

    The camera is the canonical one: height above the road and place ahead of the rear axle (m; how far it
    swings outwards in turns), focal length in pixels at width 640; pitch is downwards, in degrees (KITTI's
    looks down by 1.1). speed_spread: of the logarithm of how fast a place is driven through: its looks then
    say less of the speed. `along`: a folder of KITTI pose files; about half of the sequences then drive along
    a piece of one of them.
    """

    frames: int = 500
    seed: int = 1
    width: int = 640
    height: int = 192
    focal: float = 380.0
    cx: float = 319.5
    cy: float = 91.0
    focal_sigma: float = 0.0
    centre_sigma: float = 0.0
    camera_height: float = 1.65
    camera_height_sigma: float = 0.03
    camera_forward: float = 1.3
    camera_forward_sigma: float = 0.5
    pitch_deg: float = 1.1
    pitch_sigma_deg: float = 0.5
    yaw_sigma_deg: float = 0.3
    roll_sigma_deg: float = 0.3
    speed_spread: float = 0.0
    along: str | None = None

    def __post_init__(self):
        typed.check(self, BOUNDS)


class RehearsalFrame(NamedTuple):
    """image BGR (H, W, 3) uint8, pose (4, 4) camera k to camera 0, stamp_ns int."""

    image: np.ndarray
    pose: np.ndarray
    stamp_ns: int


class RehearsalSequence:
    """Sequence `index`: what it is (K, height, kind, poses) is known at once; iterating renders it."""

    def __init__(self, settings: RehearsalSettings, index: int):
        self.settings, self.index = settings, index
        self._world = World(settings, np.random.SeedSequence([settings.seed, index]))
        self.K = self._world.K
        self.camera_height = self._world.mount.height
        self.kind = self._world.kind
        first = geometry.inverse(self._world.drive.cameras[:1])
        self.poses = first @ self._world.drive.cameras
        self.poses[0] = np.eye(4)

    def __len__(self) -> int:
        return self.settings.frames

    def __iter__(self) -> Iterator[RehearsalFrame]:
        for k, image in enumerate(
            self._world.images(_renderer(self.settings.width, self.settings.height))
        ):
            yield RehearsalFrame(image, self.poses[k], round(k * DT * 1e9))

    def describe(self) -> dict:
        """What sequence.json holds."""
        mount = self._world.mount
        return {
            "settings": asdict(self.settings), "index": self.index, "kind": self.kind,
            "camera_height_m": mount.height, "pitch_rad": mount.pitch, "yaw_rad": mount.yaw,
            "roll_rad": mount.roll,
            "K": self.K.tolist(), "width": self.settings.width, "height": self.settings.height,
        }  # fmt: skip


def render_sequence(settings: RehearsalSettings, index: int) -> RehearsalSequence:
    """Sequence `index` of these settings: iterate over it for RehearsalFrames, in order."""
    return RehearsalSequence(settings, index)


@lru_cache(maxsize=1)
def _renderer(width: int, height: int):
    from training.data.render import Renderer  # Panda3D sets itself up when it is imported

    return Renderer(width, height)


def write_sequence(out: Path, settings: RehearsalSettings, index: int) -> None:
    """Render sequence `index` into `out` in KITTI layout; it appears whole or not at all."""
    name = f"{index:02d}"
    sequence = render_sequence(settings, index)
    (out / "sequences").mkdir(parents=True, exist_ok=True)
    (out / "poses").mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=out))
    try:
        (work / "image_2").mkdir()
        stamps = []
        for k, frame in enumerate(sequence):
            path = str(work / "image_2" / f"{k:06d}.png")
            if not cv2.imwrite(path, frame.image, PNG):
                raise InputError(f"cannot write {path}; is the disk full?")
            stamps.append(frame.stamp_ns)
        projection = " ".join(
            f"{x:.12e}" for x in np.hstack([sequence.K, np.zeros((3, 1))]).ravel()
        )
        (work / "calib.txt").write_text("".join(f"P{i}: {projection}\n" for i in range(4)))
        (work / "times.txt").write_text("".join(f"{stamp / 1e9:.6e}\n" for stamp in stamps))
        (work / "sequence.json").write_text(json.dumps(sequence.describe(), indent=1) + "\n")
        poses = work / "poses.txt"
        np.savetxt(poses, sequence.poses[:, :3].reshape(-1, 12), fmt="%.12e")
        os.replace(poses, out / "poses" / f"{name}.txt")
        os.chmod(work, 0o755)
        os.replace(work, out / "sequences" / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _finished(out: Path, settings: RehearsalSettings, index: int) -> bool:
    """Is sequence `index` there already? InputError if it came from other settings."""
    folder = out / "sequences" / f"{index:02d}"
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / "sequence.json").read_text())["settings"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} was not made by rehearse; give another --out") from error
    wanted = asdict(settings)
    changed = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
    if changed:
        raise InputError(
            f"{folder} was rendered with another {', '.join(changed)}; give another --out or remove it"
        )
    return True


def rehearse(out: Path, settings: RehearsalSettings, sequences: int, jobs: int) -> None:
    """Render `sequences` sequences into `out`, `jobs` at a time; those that are there are kept."""
    if settings.along is not None:
        load_trajectories(settings.along)  # a wrong folder is refused before anything is rendered
    todo = [i for i in range(sequences) if not _finished(out, settings, i)]
    with tqdm(
        total=sequences, initial=sequences - len(todo), unit="sequence", desc="rehearse"
    ) as bar, ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=cv2.setNumThreads,
                             initargs=(1,)) as pool:  # fmt: skip
        futures = [pool.submit(write_sequence, out, settings, i) for i in todo]
        try:
            for future in as_completed(futures):
                future.result()
                bar.update()
        finally:
            for future in futures:
                future.cancel()


def add_arguments(parser) -> None:
    """The options of `python -m training rehearse`."""
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write sequences/ and poses/ into"
    )
    parser.add_argument("--sequences", type=positive, default=3, help="how many (default: %(default)s)")
    parser.add_argument(
        "--frames", type=positive, default=500, help="frames in each, 10 a second (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--along",
        metavar="POSES",
        help="folder of KITTI pose files for half of the drives to follow",
    )
    parser.add_argument(
        "--camera-height", type=float, default=1.65, metavar="M", help="default: %(default)s m"
    )
    parser.add_argument(
        "--jobs", type=positive, default=os.cpu_count(), help="processes (default: all cores)"
    )


def run(args) -> None:
    """Render what the command line asks for."""
    settings = RehearsalSettings(
        frames=args.frames, seed=args.seed, along=args.along, camera_height=args.camera_height
    )
    rehearse(args.out, settings, args.sequences, args.jobs)
    print(args.out)
