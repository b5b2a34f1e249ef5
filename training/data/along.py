"""Drives that repeat a real trajectory: a piece of a KITTI pose file, with a road laid under it."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from distill_vo import geometry
from distill_vo.errors import InputError
from training.data.drive import DT, Drive
from training.data.road import Road, smooth

FAST = 18.0  # m/s: from here on the road is a highway


@lru_cache(maxsize=4)
def load_trajectories(folder: str) -> list[np.ndarray]:
    """Every NN.txt in `folder` as camera poses (N, 4, 4), in order of name."""
    files = sorted(Path(folder).glob("[0-9][0-9].txt"))
    if not files:
        raise InputError(f"no KITTI pose files NN.txt in {folder}; give the folder that holds them")
    result = []
    for file in files:
        try:
            rows = np.loadtxt(file, ndmin=2)
            poses = np.tile(np.eye(4), (len(rows), 1, 1))
            poses[:, :3] = rows.reshape(-1, 3, 4)
        except ValueError as error:
            raise InputError(
                f"{file} is not a KITTI pose file; each line must hold 12 numbers"
            ) from error
        result.append(geometry.orthonormalise(poses))
    return result


def drive_along(settings, height: float, kind: str, rng: np.random.Generator) -> tuple[Drive, str]:
    """A random piece of a random trajectory, the camera `height` above the road; and the kind of place."""
    usable = [t for t in load_trajectories(settings.along) if len(t) >= settings.frames]
    if not usable:
        raise InputError(
            f"no trajectory in {settings.along} has {settings.frames} poses; give a smaller --frames"
        )
    sizes = np.array([len(t) for t in usable], float)
    chosen = usable[rng.choice(len(usable), p=sizes / sizes.sum())]
    start = int(rng.integers(0, len(chosen) - settings.frames + 1))
    cameras = geometry.inverse(chosen[start : start + 1]) @ chosen[start : start + settings.frames]
    if rng.random() < 0.5:
        cameras = _mirror(cameras)
    world = np.eye(4)
    world[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # x right, y forward, z up
    cameras = world @ _level(cameras)
    road, stations = _road_under(cameras, height)
    speed = np.median(np.diff(stations)) / DT
    return Drive(road, stations, cameras), "highway" if speed > FAST else kind


def _mirror(cameras: np.ndarray) -> np.ndarray:
    """The same drive seen in a mirror: x and the rotations about y and z change sign."""
    flip = np.diag([-1.0, 1, 1, 1])
    return flip @ cameras @ flip


def _level(cameras: np.ndarray) -> np.ndarray:
    """Turn the first camera so that its mean pitch against the direction of travel is that of its mount."""
    motion = geometry.inverse(cameras[:-1]) @ cameras[1:]
    moving = motion[:, 2, 3] > 0.3
    pitch = (
        np.median(np.arctan2(motion[moving, 1, 3], motion[moving, 2, 3]))
        if moving.sum() > 5
        else 0.0
    )
    level = np.eye(4)
    level[:3, :3] = geometry.rotation_exp(np.array([pitch, 0, 0]))
    return level @ cameras


def _road_under(cameras: np.ndarray, height: float) -> tuple[Road, np.ndarray]:
    """Lay a road `height` below the smoothed path of the cameras, with room behind and ahead."""
    from training.data.world import AHEAD_M, BEHIND_M

    right, position = smooth(cameras[:, :3, 0], 13), smooth(cameras[:, :3, 3], 7)
    step = np.linalg.norm(np.diff(position, axis=0), axis=1)
    travelled = np.concatenate([[0], np.cumsum(step)])
    keep = np.concatenate([[True], np.diff(np.floor(travelled / 0.7)) > 0])
    s, path, left = travelled[keep], position[keep], -right[keep]
    if len(s) < 3:  # it stands still: a straight road ahead
        s = np.arange(3.0)
        path = position[0] + s[:, None] * cameras[0, :3, 2]
        left = np.repeat(left[:1], 3, axis=0)
    heading_in, heading_out = path[2] - path[0], path[-1] - path[-3]
    before, after = np.arange(-BEHIND_M, 0), np.arange(1, AHEAD_M)
    ends = [h / np.linalg.norm(h) * [1, 1, 0] for h in (heading_in, heading_out)]
    path = np.concatenate(
        [path[0] + before[:, None] * ends[0], path, path[-1] + after[:, None] * ends[1]]
    )
    left = np.concatenate(
        [np.repeat(left[:1], len(before), 0), left, np.repeat(left[-1:], len(after), 0)]
    )
    s = np.concatenate([s[0] + before, s, s[-1] + after]) + BEHIND_M
    even = np.arange(0, s[-1], 1.0)
    path = np.stack([np.interp(even, s, column) for column in path.T], axis=1)
    left = np.stack([np.interp(even, s, column) for column in left.T], axis=1)
    forward = np.gradient(path, axis=0)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    left -= np.einsum("ni,ni->n", left, forward)[:, None] * forward
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    up = np.cross(forward, left)
    return Road(path - height * up, left), travelled + BEHIND_M
