"""Named faults, injected into a drive of a rendered street: what the node publishes, how it recovers.

  python test/faults/faults.py docs/results/faults.md
"""

import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]  # when run as a script
import seen  # noqa: F401, E402
import told  # noqa: F401, E402
from drive import FAULTS, FRAMES, Drive, street  # noqa: E402


def table() -> str:
    from training.results import provenance

    about = provenance()
    length_m = np.linalg.norm(np.diff(street()[1][:, :3, 3], axis=0), axis=1).sum()
    lines = [
        "# Faults", "",
        f"`python test/faults/faults.py docs/results/faults.md`, commit {about['commit']}, {about['date']}, "
        f"{about['machine']}.", "",
        f"Each of {len(FAULTS)} faults injected into {FRAMES} frames (10 Hz) of a rendered street, through "
        "the node with the shipped student and max_gap of 1 s. The tests in test/faults check that no number "
        "published is infinite or NaN and that every covariance is positive definite. Recovered: frames "
        "after the fault until the status is tracking. The error is of the last pose after the whole drive "
        f"of {length_m:.0f} m; NEES is its square in units of the published covariance (6 on average, below "
        "12.6 in 95 of 100 drives).", "",
        "| fault | what happens | frames | published | status | dropped | recovered | error m | NEES |",
        "|---|---|---|---|---|---|---|---|---|"]
    for name, one in FAULTS.items():
        d = Drive(one).run()
        h = d.health
        counts = {"early": h.early, "late": h.late, "gap": h.gaps, "unusable": h.unusable, "paused": h.paused}
        dropped = ", ".join(f"{n} {why}" for why, n in counts.items() if n)
        error, nees = ("-", "-") if one.anew else (f"{v:.2f}" for v in d.pose_error())
        lines.append(f"| {name} | {one.text} | {one.frames} | {len(d.during)} | {', '.join(d.said) or '-'} | "
                     f"{dropped or '-'} | {d.recovered_after} | {error} | {nees} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table())
    print(Path(sys.argv[1]).read_text())
