"""The node over a long drive: what is lost, how its memory grows, whether it slows down.

  python -m training soak --out docs/results

Sends images through the node, in another process, reliably and with the transports that the launch files set.
The first 2000 are warm-up: memory growth and latencies are of what follows. Writes soak.json. Exit code 1
where a frame is lost.
"""

import argparse
import json
import os
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from rclpy.qos import QoSProfile
from tqdm import tqdm

from distill_vo.errors import InputError
from distill_vo.trajectory import write_whole
from training.arguments import positive
from training.programs import AS_LAUNCHED, NODE, last_line, own_domain, program
from training.results import machine_load, provenance
from training.robot import Robot, milliseconds

WARM_UP, BLOCK = 2000, 1000
QOS = QoSProfile(depth=60)  # reliable: nothing is lost while a busy machine lets the node wait for 2 s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder for soak.json")
    parser.add_argument("--frames", type=positive, default=60_000,
                        help="images to send (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=30.0, help="of the camera, Hz (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    if args.frames < 2 * WARM_UP:
        raise InputError(f"--frames {args.frames}: are too few; give {2 * WARM_UP} or more.")
    story, rss_mb = provenance(), []
    with TemporaryDirectory() as folder, own_domain(AS_LAUNCHED):
        log = Path(folder, "vo_node.log")
        with program(NODE, log, "--ros-args", "-p", "image_reliability:=reliable",
                     "-p", f"image_depth:={QOS.depth}") as node, closing(
                Robot((640, 192), "mono8", args.rate, QOS)) as robot:
            robot.meet_node()
            for _ in tqdm(range(args.frames // BLOCK), unit=f" x {BLOCK} frames"):
                robot.drive(BLOCK)
                rss_mb.append(resident_mb(node.pid))
            robot.finish()
        settled = WARM_UP // BLOCK
        figures = story | robot.figures(WARM_UP) | {
            "rss_growth_mb": round(rss_mb[-1] - rss_mb[settled - 1], 2),
            **{f"latency_ms_p{p}_{name}_1000": milliseconds(latencies, p) for p in (50, 99)
               for name, latencies in (("first", robot.latencies[WARM_UP:WARM_UP + BLOCK]),
                                       ("last", robot.latencies[-BLOCK:]))},
            "warm_up_frames": WARM_UP, "rss_mb_every_1000": rss_mb,
            **machine_load(),
            "transports": AS_LAUNCHED, "node": last_line(log)}
    write_whole(args.out / "soak.json", json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
    return 1 if figures["lost"] else 0


def resident_mb(pid: int) -> float:
    """Resident memory of a process (Linux), MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 2)
