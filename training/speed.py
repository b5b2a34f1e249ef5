"""Measure what runs on one core: the odometry with each shipped student, and the rendering of streets.

  python -m training speed --out docs/results/speed.json

Images are 1241x376, as KITTI's, in grey and in colour, each written just before, as by a driver. All of a
frame counts: the view, the front end, network and geometry, pose and covariance. The rendering is
`python -m training rehearse --jobs 1` from its start to its last file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from distill_vo.camera import Camera
from distill_vo.errors import InputError
from distill_vo.odometry import VisualOdometry
from distill_vo.student import Student, student_names
from distill_vo.trajectory import write_whole
from training.arguments import positive
from training.data.rehearsal import RehearsalSettings, render_sequence
from training.results import machine_load, provenance

SIZE = (1241, 376)
WARM_UP = 20  # frames
STREETS, FRAMES = 3, 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--frames", type=positive, default=300, help="tracked (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to be written")


def run(args: argparse.Namespace) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    projection, stamps_ns, colour = street(args.frames + WARM_UP)
    kinds = {"grey": [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in colour], "colour": colour}
    content = provenance() | machine_load() | {
        "image": SIZE, "frames": args.frames,
        "track_ms": {name: {kind: track_ms(name, projection, stamps_ns, images)
                            for kind, images in kinds.items()} for name in student_names()},
        "rehearse": rehearse()}
    write_whole(args.out, json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def street(frames: int) -> tuple[np.ndarray, list[int], list[np.ndarray]]:
    """A street's projection (3, 4), stamps and images in colour."""
    rendered = render_sequence(RehearsalSettings(frames=frames, seed=60_000), 0)
    scale = np.diag([SIZE[0] / rendered.settings.width, SIZE[1] / rendered.settings.height, 1.0])
    stamps_ns, images = zip(*((frame.stamp_ns, cv2.resize(frame.image, SIZE, interpolation=cv2.INTER_CUBIC))
                              for frame in rendered), strict=True)
    return np.hstack([scale @ rendered.K, np.zeros((3, 1))]), stamps_ns, images


def track_ms(name: str, projection: np.ndarray, stamps_ns: list[int],
             images: list[np.ndarray]) -> dict[str, float]:
    """Milliseconds of a core for a frame, but for the first ones."""
    odometry = VisualOdometry(Student.load(name, "cpu"), Camera.from_projection(projection, *SIZE))
    taken = []
    for stamp_ns, image in zip(stamps_ns, images, strict=True):
        image = image.copy()
        start = time.thread_time()
        odometry.track(stamp_ns, image)
        taken.append(1e3 * (time.thread_time() - start))
    return {f"p{q}": float(np.percentile(taken[WARM_UP:], q)) for q in (50, 95)}


def rehearse() -> dict[str, float]:
    """Frames a second of three streets, by the clock."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "training", "rehearse", "--out", folder, "--jobs", "1",
                               "--sequences", str(STREETS), "--frames", str(FRAMES)], check=False,
                              capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"rehearse: failed ({done.stderr.strip().splitlines()[-1]}); run it by itself.")
        seconds = time.perf_counter() - start
    return {"frames": STREETS * FRAMES, "seconds": seconds, "frames_per_second": STREETS * FRAMES / seconds}
