"""The workshop's command line: `python -m training <verb>`, run from a checkout."""

import argparse
import importlib
import os
import sys

from distill_vo.errors import exit_code

# verb -> (module with add_arguments(parser) and run(args), what it does)
VERBS = {
    "rehearse": ("training.data.rehearsal", "render streets in KITTI layout"),
    "prepare": ("training.prepare", "turn driving data into memory-mapped frame pairs"),
    "describe": ("training.describe", "print a network's layers, parameters and cost"),
    "teacher": ("training.teacher", "train a teacher"),
    "trust": ("training.trust", "show how far a teacher can be trusted"),
    "distil": ("training.distil", "distil a student from a teacher"),
    "calibrate": ("training.calibrate", "measure a student's scale and how its errors hang together"),
    "nees": ("training.nees", "compare the covariances of a student with its errors"),
    "ablate": ("training.ablate", "compare all objectives over seeds and rates"),
    "scaling": ("training.scaling", "measure what an epoch costs, by the number of pairs"),
    "compare": ("training.compare", "draw networks side by side"),
    "breakdown": ("training.breakdown", "show where a student is weak: by speed, yaw rate and place"),
    "card": ("training.card", "measure a student and write its model card"),
    "benchmark": ("training.benchmark", "measure shipped students and published trajectories"),
    "transport": ("training.transport", "count full camera frames that reach the node"),
    "soak": ("training.soak", "send 60,000 frames through the node; what is lost, memory, latency"),
    "signals": ("training.signals", "end node and replay by signals at random moments"),
    "speed": ("training.speed", "time the odometry and the rendering on one core"),
    "demo": ("training.demo", "drive a new street through the real node and print the figures"),
}
RESUMED = ("rehearse", "prepare", "teacher", "distil", "ablate")


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] not in VERBS:
        lines = "\n".join(f"  {verb:10} {text}" for verb, (_, text) in VERBS.items())
        print(f"usage: python -m training VERB ... (--help tells what a verb takes)\n\n{lines}",
              file=sys.stdout if argv[:1] in (["-h"], ["--help"]) else sys.stderr)
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    module = importlib.import_module(VERBS[argv[0]][0])
    parser = argparse.ArgumentParser(f"python -m training {argv[0]}", description=module.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(parser)
    try:
        return exit_code(lambda: module.run(parser.parse_args(argv[1:])))
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from here" * (argv[0] in RESUMED)
        print(f"stopped{goes_on}.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    sys.exit(main())
