"""The program `replay`: a rosbag2 bag onto its topics, and the odometry that comes back judged.

ros2 run distill_vo replay BAG [--ros-args -p rate:=2.0 ...]: publishes every topic and /clock. Odometry is
collected from `odom`; with `out` its trajectory, picture and figures against the bag's truth are written
there. In lockstep the next image is sent when the odometry of the last has come: none is lost, none waits.
"""

import argparse
import sys
from contextlib import suppress
from importlib import import_module

from distill_vo.ros import process

# What the report imports, so that whoever ends a replay does not wait for it.
SLOW = ("evo.core.metrics", "matplotlib.backends.backend_agg")


def main(args: list[str] | None = None) -> None:
    """Replay until the bag ends or a signal comes (exit code 0); 2 with one sentence for bad input."""
    process.run("replay", lambda stop: _replay(sys.argv[1:] if args is None else args, stop))


def _replay(args: list[str], stop: process.Stop) -> int:
    from rclpy.parameter import Parameter
    from rclpy.utilities import remove_ros_args

    from distill_vo.errors import InputError
    from distill_vo.ros.player import PARAMETERS, Player
    from distill_vo.sources.bag import open_bag_source

    parser = argparse.ArgumentParser("replay", description=__doc__, epilog="Parameters: " + "; ".join(
        f"{name} ({spec.default!r}): {spec.text}" for name, spec in PARAMETERS.items()))
    parser.add_argument("bag", nargs="?", help="folder of a rosbag2 bag (mcap or sqlite3)")
    bag = parser.parse_args(remove_ros_args(["replay", *args])[1:]).bag
    process.init(args)
    player = Player(stop, [Parameter("bag", value=bag)] if bag else None)
    if player.settings.out:
        for library in SLOW:
            with suppress(ImportError):  # whoever needs it says that it is missing
                import_module(library)
    stop.importing = False
    try:
        out = player.settings.out
        source = open_bag_source(player.recording.path, player.image_topic,
                                 base_frame=player.settings.base_frame) if out else None
        player.find_odometry()
        while True:
            try:
                player.play()
            finally:  # also what came of a bag that breaks off is judged
                _report(player, source)
            if out and not stop.requested and not len(player.trajectory()):
                raise InputError(f"out {out}: no odometry came back; start vo_node with image remapped to "
                                 f"{player.image_topic}, or see in its log what it waits for.")
            if stop.requested or not player.settings.loop:
                return 0
    finally:
        player.close()


def _report(player, source) -> None:
    """Say what came back, and write and print the figures where that was asked for."""
    from distill_vo.evaluation.report import table, write_results

    trajectory, out = player.trajectory(), player.settings.out
    lost = player.sent - len(trajectory)
    print(f"replay: {player.sent} images sent, {lost} without odometry, "
          f"{player.resent} sent again", flush=True)
    if source is not None and len(trajectory):
        figures = write_results(out, trajectory, source.truth, source.base_T_camera, {
            "source": source.name, "images_sent": player.sent, "images_without_odometry": lost,
            "seconds": player.seconds})
        print(f"{table(figures)}\nresults in {out}", flush=True)


if __name__ == "__main__":
    main()
