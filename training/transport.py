"""Whether full camera frames arrive: 300 of 1241x376 bgr8 at 30 Hz through the node, in another process.

  python -m training transport --out docs/results

With sensor-data QoS on both sides, and the transports that the launch files set. Writes transport.json.
Exit code 1 where a frame is lost.
"""

import argparse
import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from rclpy.qos import qos_profile_sensor_data

from distill_vo.trajectory import write_whole
from training.programs import AS_LAUNCHED, NODE, last_line, own_domain, program
from training.results import machine_load, provenance
from training.robot import Robot

FRAMES = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder for transport.json")


def run(args: argparse.Namespace) -> int:
    story = provenance()
    with TemporaryDirectory() as folder, own_domain(AS_LAUNCHED):
        log = Path(folder, "vo_node.log")
        with program(NODE, log), closing(
                Robot((1241, 376), "bgr8", 30.0, qos_profile_sensor_data)) as robot:
            robot.meet_node()
            robot.drive(FRAMES)
            robot.finish()
        figures = story | machine_load() | robot.figures() | {
            "transports": AS_LAUNCHED, "node": last_line(log)}
    text = json.dumps(figures, indent=1)
    write_whole(args.out / "transport.json", text + "\n")
    print(text)
    return 1 if figures["lost"] else 0
