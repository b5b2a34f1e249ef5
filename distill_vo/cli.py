"""The command `distill_vo`: odometry of recordings, figures of trajectories, KITTI as bags, the
machine examined. No ROS is needed.

Everything heavy is imported by the verb that needs it, so that help is there at once.
"""

import argparse
import json
import logging
import sys
import time
from functools import partial
from pathlib import Path

from distill_vo.errors import InputError, exit_code

ALIGNMENTS = ("none", "se3", "sim3", "scale")
INTERRUPTED = 130  # the exit code shells expect after Ctrl-C


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 for bad input, with one sentence on stderr; 130 for Ctrl-C; see errors.exit_code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        return exit_code(lambda: _verb(argv))
    except KeyboardInterrupt:
        return INTERRUPTED


def _verb(argv: list[str] | None) -> int:
    args = _parser().parse_args(argv)
    return args.verb(args)


def _run(args) -> int:
    """Track every frame of a source; what was tracked is written whatever ends the run."""
    from distill_vo.evaluation.report import table, write_results
    from distill_vo.odometry import Status, VisualOdometry
    from distill_vo.sources import open_source
    from distill_vo.student import Student
    from distill_vo.trajectory import Trajectory, writable_folder

    source = open_source(args.source, camera_index=args.camera, calibration=args.calibration,
                         mount_height_m=args.camera_height, image_topic=args.image_topic,
                         truth=args.truth, base_frame=args.base_frame)
    student = Student.load(args.model, args.device)
    out = writable_folder(args.out or Path("results") / source.name)
    odometry = VisualOdometry(student, source.camera, source.base_T_camera)
    estimates, end = [], None
    started = time.perf_counter()
    try:
        for frame in _progress(source, unit="frame"):
            if frame.image is not None:
                estimates.append(odometry.track(frame.stamp_ns, frame.image))
    except (InputError, OSError, KeyboardInterrupt) as error:
        end = error
    seconds = time.perf_counter() - started
    estimates = [e for e in estimates if e is not None]
    if not estimates:
        raise end or InputError(f"{args.source}: none of its {len(source)} frames can be used; see "
                                "the warnings above.")
    trajectory = Trajectory.from_poses([e.stamp_ns for e in estimates], [e.pose for e in estimates])
    figures = write_results(out, trajectory, source.truth, source.base_T_camera, {
        "source": source.name, "student": student.name, "student_digest": student.digest,
        "device": student.device, "camera_height_m": source.camera.mount_height_m,
        "frames_lost": sum(e.status is Status.LOST for e in estimates),
        "seconds": seconds}, args.alignment)
    print(json.dumps(figures) if args.json else f"{table(figures)}\nresults in {out}")
    if end is not None:
        raise end
    return 0


def _evaluate(args) -> int:
    """Compare two trajectory files of the same format."""
    from distill_vo import trajectory
    from distill_vo.evaluation.report import as_base, summary, table, write_figures

    estimate, truth = trajectory.read(args.estimate), trajectory.read(args.truth)
    if estimate.stamped != truth.stamped:
        raise InputError(f"{args.estimate} and {args.truth}: one is a TUM file and one a KITTI "
                         "file, which has no time stamps; give two of the same format.")
    figures = summary(estimate, truth, {"source": args.estimate.stem}, args.alignment)
    if args.out:
        out = trajectory.writable_folder(args.out)
        write_figures(out, figures, *(t if t.stamped else as_base(t) for t in (estimate, truth)))
    print(json.dumps(figures) if args.json else table(figures))
    return 0


def _kitti_to_bag(args) -> int:
    from distill_vo.bags import kitti_to_bag

    count = kitti_to_bag(args.sequence, args.bag, args.storage, args.compressed, args.camera,
                         args.camera_height, partial(_progress, unit="image"))
    print(f"{args.bag}: {count} images")
    return 0


def _doctor(args) -> int:
    """Exit code 2 where something is wrong."""
    from distill_vo.doctor import examine, table

    findings = examine()
    print(json.dumps([vars(f) for f in findings]) if args.json else table(findings))
    return 2 if any(f.status == "wrong" for f in findings) else 0


def _progress(frames, unit: str):
    """A progress bar on stderr if that is a terminal."""
    from tqdm import tqdm
    return tqdm(frames, unit=unit, disable=None, file=sys.stderr)


def _height(text: str) -> float:
    value = float(text)
    if not 0 < value < 100:
        raise ValueError
    return value


_height.__name__ = "height between 0 and 100 metres"  # what argparse calls it


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "distill_vo", description="Metric visual odometry of one calibrated forward camera.",
        epilog="examples:\n"
               "  distill_vo run dataset/sequences/00\n"
               "  distill_vo run drive.mcap --image-topic /camera/image_raw --out results/drive\n"
               "  distill_vo evaluate results/00/trajectory.kitti --truth dataset/poses/00.txt\n"
               "  distill_vo kitti-to-bag dataset/sequences/00 bags/00\n",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, metavar="run | evaluate | kitti-to-bag | doctor")
    _add_run(verbs)
    _add_evaluate(verbs)
    _add_kitti_to_bag(verbs)
    _add_doctor(verbs)
    return parser


def _add_run(verbs) -> None:
    parser = _add(verbs, "run", _run, "odometry of a recording", """
Write trajectory.tum (poses of base_link), trajectory.kitti (poses of the camera), path.png and
figures.json. Figures against the truth are there where the truth is: poses/NN.txt beside
sequences/, a pose topic of the bag with 'truth' in its name, or --truth.""", """
  distill_vo run dataset/sequences/00 --camera 2
  distill_vo run drive/ --image-topic /front/image_raw --camera-height 1.4
  distill_vo run video.mp4 --calibration camera.yaml --json""")
    parser.add_argument("source", metavar="SOURCE", type=Path,
                        help="KITTI sequence, rosbag2 bag, folder of images, or video")
    parser.add_argument("--out", metavar="DIR", type=Path,
                        help="where results go (default: results/<name of the source>)")
    parser.add_argument("--camera", type=int, choices=(0, 2),
                        help="KITTI's image_0 (grey) or image_2 (colour); default: the one there "
                             "is")
    parser.add_argument("--calibration", metavar="FILE", type=Path,
                        help="ROS camera_info YAML (default: the source's own)")
    parser.add_argument("--camera-height", metavar="M", type=_height,
                        help="of the camera above the road, metres; the scale hangs on it "
                             "(default: the calibration file's, else 1.65)")
    parser.add_argument("--model", metavar="NAME", default="flow-s",
                        help="a shipped student or a .safetensors file (default: flow-s)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--image-topic", metavar="TOPIC", help="of a bag with several")
    parser.add_argument("--truth", metavar="FILE|TOPIC",
                        help="TUM file of base_link, KITTI file of the camera, or topic of the bag")
    parser.add_argument("--base-frame", metavar="FRAME",
                        help="of the robot in a bag's transforms (default: base_link)")
    _add_output(parser)


def _add_evaluate(verbs) -> None:
    parser = _add(verbs, "evaluate", _evaluate, "figures of a trajectory against the truth", """
KITTI's t_err and r_err (segments of 100 to 800 m), ATE (root mean square) and RPE (mean over
consecutive frames) of two files of the same format: TUM (matched by their stamps) or KITTI
(matched by line, or by a frame index in front).""", """
  distill_vo evaluate results/00/trajectory.kitti --truth dataset/poses/00.txt
  distill_vo evaluate orb_slam.txt --truth dataset/poses/09.txt --alignment sim3""")
    parser.add_argument("estimate", metavar="ESTIMATE", type=Path, help="TUM or KITTI file")
    parser.add_argument("--truth", metavar="TRUTH", type=Path, required=True,
                        help="file of the same format")
    parser.add_argument("--out", metavar="DIR", type=Path,
                        help="write figures.json and path.png there")
    _add_output(parser)


def _add_kitti_to_bag(verbs) -> None:
    parser = _add(verbs, "kitti-to-bag", _kitti_to_bag, "a KITTI sequence as a rosbag2 bag", """
Write images, CameraInfo, ground-truth odometry and static TF as a robot would have recorded
them; the bag appears whole or not at all.""", """
  distill_vo kitti-to-bag dataset/sequences/00 bags/00
  distill_vo kitti-to-bag dataset/sequences/00 bags/00 --storage sqlite3 --compressed""")
    parser.add_argument("sequence", metavar="SEQUENCE", type=Path, help="folder of the sequence")
    parser.add_argument("bag", metavar="BAG", type=Path, help="folder to be made")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    parser.add_argument("--compressed", action="store_true",
                        help="CompressedImage with the files' own bytes instead of Image")
    parser.add_argument("--camera", type=int, choices=(0, 2),
                        help="image_0 (grey) or image_2 (colour); default: the one there is")
    parser.add_argument("--camera-height", metavar="M", type=_height, default=1.65,
                        help="of the camera above the road, metres (default: 1.65)")


def _add_doctor(verbs) -> None:
    parser = _add(verbs, "doctor", _doctor, "whether this machine can run it, and what to do", """
Look at interpreter, libraries, torch, device, models, ROS, messages, transports and installation,
and say in one sentence what to do about each that is wrong. Exit code 2 where one is.""", """
  distill_vo doctor
  ros2 run distill_vo distill_vo doctor --json""")
    parser.add_argument("--json", action="store_true", help="one JSON list of findings on stdout")


def _add(verbs, name: str, verb, summary: str, description: str, examples: str):
    parser = verbs.add_parser(name, help=summary, description=description.strip(),
                              epilog=f"examples:{examples}",
                              formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(verb=verb)
    return parser


def _add_output(parser) -> None:
    parser.add_argument("--alignment", choices=ALIGNMENTS, default="none",
                        help="fit of the estimate to the truth before figures (default: none)")
    parser.add_argument("--json", action="store_true",
                        help="exactly one JSON object on stdout instead of the table")


if __name__ == "__main__":
    sys.exit(main())
