"""The whole chain in one command: a drive, as a bag, through the real node, and judged.

Without SEQUENCE a street is rendered that no student has seen. The drive is written as a rosbag2
bag; `replay` publishes it and `vo_node` answers, each in a process of its own, over DDS. Every frame
must come back as odometry. Everything is in ./demo/ afterwards.
"""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from distill_vo.bags import kitti_to_bag
from distill_vo.errors import InputError
from distill_vo.sources import open_source
from distill_vo.trajectory import read
from training.data.rehearsal import RehearsalSettings, rehearse
from training.programs import LOCAL, NODE, REPLAY, last_line, own_domain, program

FOLDER = Path("demo")
BAG, RESULTS, LOG = FOLDER / "bag", FOLDER / "results", FOLDER / "vo_node.log"
# A seed that nothing else uses. The camera's height is known exactly, as the metric scale hangs on it.
STREET = RehearsalSettings(seed=20_000, frames=300, camera_height_sigma=0.0)
START_S = 60.0  # the node may take this long to start on a busy machine


def add_arguments(parser) -> None:
    """The options of `python -m training demo`."""
    parser.add_argument("sequence", metavar="SEQUENCE", nargs="?", type=Path,
                        help="a KITTI sequence folder to drive instead, such as sequences/00")


def run(args) -> int:
    """Exit code 0, or 1 where a frame did not come back. Raises InputError."""
    if args.sequence:
        open_source(args.sequence)  # what is none is refused before earlier results go
    for remains in (BAG, RESULTS):
        shutil.rmtree(remains, ignore_errors=True)
    sequence = args.sequence or _render_street()
    images = kitti_to_bag(sequence, BAG, progress=partial(tqdm, desc="bag", unit="image"))
    # Reliable: with LOCALHOST, Fast DDS takes no larger transports, and full frames would get lost.
    with own_domain(LOCAL), program(NODE, LOG, "--ros-args", "-p", "image_reliability:=reliable",
                                    "-r", "image:=/camera/image_raw",
                                    "-r", "camera_info:=/camera/camera_info") as node:
        _replay(node)
    return _judge(images)


def _render_street() -> Path:
    shutil.rmtree(FOLDER / "street", ignore_errors=True)  # it may be an earlier version's
    rehearse(FOLDER / "street", STREET, sequences=1, jobs=1)
    return FOLDER / "street" / "sequences" / "00"


def _replay(node: subprocess.Popen) -> None:
    """Replay the bag in lockstep. Raises InputError where the node or the replay fails."""
    command = [sys.executable, "-m", REPLAY, str(BAG), "--ros-args",
               "-p", "lockstep:=true", "-p", f"out:={RESULTS}", "-p", f"timeout:={START_S}"]
    with subprocess.Popen(command) as replay:
        while True:
            try:
                code = replay.wait(1.0)
                break
            except subprocess.TimeoutExpired:
                if node.poll() is not None:
                    replay.terminate()
                    raise InputError(f"vo_node ended before the bag did: {last_line(LOG)}") from None
    if code != 0:
        raise InputError(f"replay failed with exit code {code}; it says why above, and the node in {LOG}.")


def _judge(images: int) -> int:
    """Count what came back; the figures were printed by the replay."""
    tracked = RESULTS / "trajectory.tum"
    came_back = len(read(tracked)) if tracked.exists() else 0
    print(last_line(LOG))  # the node's own summary
    print(f"{came_back} of {images} frames came back as odometry; "
          f"the path is drawn in {RESULTS / 'path.png'}")
    return 0 if came_back == images else 1
