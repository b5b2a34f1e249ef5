"""Whether node and replay end well when they are told to, whatever they are doing.

  python -m training signals --out docs/results

Starts each program again and again and sends SIGINT or SIGTERM at a random moment of its first seconds; it
must end within 2 s with exit code 0 and a summary. Python itself ends a process by a signal until the
program's first line has run: a moment before that waits for it, and how long that takes is written down too.
Writes signals.json. Exit code 1 where one did not end well.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from tqdm import tqdm

from distill_vo.bags import kitti_to_bag
from distill_vo.trajectory import write_whole
from training.arguments import positive
from training.programs import LOCAL, NODE, REPLAY, last_line, own_domain, program
from training.results import machine_load, provenance

FIRST_S = 5.0  # moments are drawn from here
ALLOWED_S = 2.0
PATIENCE_S = 20.0  # then it hangs
SUMMARIES = ("stopped before it had started.", "frames (", "images sent", "results in")  # in the last line


@dataclass(frozen=True)
class End:
    """How a program ended: seconds from start to its handlers, to the signal, and from there to its end."""

    ready_s: float
    moment_s: float
    seconds: float
    code: int
    said: str

    @property
    def is_good(self) -> bool:
        return self.code == 0 and self.seconds <= ALLOWED_S and any(s in self.said for s in SUMMARIES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder for signals.json")
    parser.add_argument("--runs", type=positive, default=100,
                        help="of each program and signal (default: 100)")


def run(args: argparse.Namespace) -> int:
    figures = provenance() | {"moments_s": [0.0, FIRST_S], "allowed_s": ALLOWED_S}
    with TemporaryDirectory() as folder, own_domain(LOCAL):
        bag, log = Path(folder, "bag"), Path(folder, "log")
        write_bag(bag)
        figures["vo_node"] = ends_of(args.runs, log, NODE)
        # Replay at its fullest: it writes results, of odometry that a node gives.
        with program(NODE, Path(folder, "node"), "--ros-args", "-p", "image_reliability:=reliable",
                     "-r", "image:=/camera/image_raw", "-r", "camera_info:=/camera/camera_info"):
            figures["replay"] = ends_of(args.runs, log, REPLAY, str(bag), "--ros-args", "-p", "loop:=true",
                                        "-p", "lockstep:=true", "-p", f"out:={folder}/results")
    figures |= machine_load()
    write_whole(args.out / "signals.json", json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    return 1 if any(f["ended_well"] < f["runs"] for p in ("vo_node", "replay")
                    for f in figures[p].values()) else 0


def ends_of(runs: int, log: Path, module: str, *arguments: str) -> dict[str, dict]:
    """Figures for each signal. Moments are the same in every run of this command."""
    moments = random.Random(0)
    found = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        ends = [end_by(number, moments.uniform(0, FIRST_S), log, module, *arguments)
                for _ in tqdm(range(runs), desc=f"{module.split('.')[-1]} {number.name}")]
        seconds = [end.seconds for end in ends]
        found[number.name] = {
            "runs": runs, "ended_well": sum(end.is_good for end in ends),
            "before_it_had_started": sum(SUMMARIES[0] in end.said for end in ends),
            "seconds_p50": round(float(np.median(seconds)), 2), "seconds_max": round(max(seconds), 2),
            "ready_s_p50": round(float(np.median([end.ready_s for end in ends])), 3),
            "ready_s_max": round(max(end.ready_s for end in ends), 3),
            "ended_badly": [vars(end) for end in ends if not end.is_good]}
    return found


def end_by(number: signal.Signals, moment_s: float, log: Path, module: str, *arguments: str) -> End:
    """Start a program, send it a signal, and see how it ends."""
    began = time.monotonic()
    with log.open("w") as out, subprocess.Popen([sys.executable, "-m", module, *arguments],
                                                stdout=out, stderr=subprocess.STDOUT) as process:
        while not catches(process.pid, signal.SIGTERM):  # the last one it takes into its hands
            time.sleep(0.002)
        ready_s = time.monotonic() - began
        time.sleep(max(0.0, moment_s - ready_s))
        sent = time.monotonic()
        process.send_signal(number)
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        ended = time.monotonic()
    return End(round(ready_s, 3), round(sent - began, 3), round(ended - sent, 3), code, last_line(log))


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def write_bag(path: Path) -> None:
    """A short drive with truth, through noise."""
    noise = np.random.default_rng(0).integers(0, 256, (192, 640), np.uint8)
    with TemporaryDirectory() as folder:
        sequence = Path(folder, "sequences", "00")
        (sequence / "image_0").mkdir(parents=True)
        (sequence / "calib.txt").write_text("P0: 380 0 319.5 0 0 380 91 0 0 0 1 0\n")
        for k in range(50):
            view = cv2.warpAffine(cv2.GaussianBlur(noise, (0, 0), 2),
                                  cv2.getRotationMatrix2D((320, 96), 0, 1.01**k), (640, 192))
            cv2.imwrite(str(sequence / "image_0" / f"{k:06d}.png"), view)
        write_whole(Path(folder, "poses", "00.txt"),
                    "".join(f"1 0 0 0 0 1 0 0 0 0 1 {0.8 * k}\n" for k in range(50)))
        kitti_to_bag(sequence, path)
