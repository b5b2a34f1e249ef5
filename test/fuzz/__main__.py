"""The long look at hostile input, from a checkout:

  python test/fuzz                                   # all targets, and docs/results/fuzz.json
  python test/fuzz --target bag_mcap --cases 500     # one of them, here and now
  python test/fuzz --target bag_mcap --atheris DIR   # guided by coverage (pip install atheris), corpus in DIR

Every target runs in a process of its own, whose memory is limited, and whose early end is a crash. A case
that takes more than SLOW_S of processor time is a hang; one that never ends is ended after PATIENCE_S. Memory
is looked at between batches, once the first have passed.
"""

import argparse
import ctypes
import gc
import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hypothesis import HealthCheck, given, seed, settings  # noqa: E402

from distill_vo.trajectory import write_whole  # noqa: E402
from training.programs import LOCAL, own_domain  # noqa: E402
from training.results import machine_load, provenance  # noqa: E402

BATCH = 250  # a new one forgets the tree of cases that Hypothesis keeps, which would look like a leak
SETTLED = 3  # batches until memory is what it stays
SLOW_S, LIMIT_BYTES = 10.0, 4 * 10**9
GROWTH_MB, PATIENCE_S = 10.0, 3600.0


def main() -> int:
    from targets import TARGETS

    parser = argparse.ArgumentParser("python test/fuzz", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1500, help="for each target (default: %(default)s)")
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--atheris", metavar="DIR", type=Path, help="guided by coverage, until stopped")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results")
    args = parser.parse_args()
    if args.atheris:
        return guided(TARGETS[args.target], args.atheris)
    if args.target:
        print(json.dumps(look(TARGETS[args.target], args.cases)))
        return 0
    story = provenance("python test/fuzz")
    with own_domain(LOCAL) if find_spec("rclpy") else nullcontext():
        found = {name: in_a_process(name, args.cases) for name in TARGETS}
    figures = story | machine_load() | {
        "cases": sum(f["cases"] for f in found.values()),
        "faults": sum(len(f["faults"]) for f in found.values()),
        "slowest_case_s": max(f["slowest_case_s"] for f in found.values()),
        "largest_growth_mb": max(f["growth_mb"] for f in found.values()), "targets": found}
    write_whole(args.out / "fuzz.json", json.dumps(figures, indent=1) + "\n")
    return 1 if figures["faults"] else 0


def in_a_process(name: str, cases: int) -> dict:
    """What became of a target; of a process that crashed that is all that is known."""
    command = [sys.executable, __file__, "--target", name, "--cases", str(cases)]
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               check=True, timeout=PATIENCE_S)
        figures = json.loads(ended.stdout.splitlines()[-1])
    except subprocess.SubprocessError as error:
        figures = {"cases": 0, "slowest_case_s": 0.0, "growth_mb": 0.0, "faults": [str(error)]}
    print(f"{name:18} {json.dumps(figures)}", flush=True)
    return figures


def look(target, cases: int) -> dict:
    """Give a target so many cases, and count what must not be: faults, hangs, growth of memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    faults, slowest, memory_mb, count = {}, 0.0, [], -1  # the first loads what is loaded once

    def survives(case) -> None:
        nonlocal slowest, count
        began = time.process_time()  # what else runs on the machine does not count
        try:
            target.survives(case)
        except Exception as error:  # what it is looked for; told once for each place
            place = traceback.extract_tb(error.__traceback__)[-1]
            faults.setdefault(f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}",
                              f"{str(error)[:200]!r} for {str(case)[:300]!r}")
        count += 1
        seconds = (time.process_time() - began) * (count > 0)
        slowest = max(slowest, seconds)
        if seconds > SLOW_S:
            faults.setdefault("hang", f"{seconds:.1f} s for {str(case)[:300]!r}")

    batch = settings(max_examples=BATCH, deadline=None, database=None,
                     suppress_health_check=list(HealthCheck))(given(target.cases)(survives))
    number = 0
    while count < cases:
        seed(number)(batch)()
        number += 1
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        memory_mb.append(resident_mb())
    growth = memory_mb[-1] - memory_mb[min(SETTLED, len(memory_mb)) - 1]
    if growth > GROWTH_MB:
        faults["growth"] = f"memory grew by {growth:.1f} MB"
    return {"cases": count, "slowest_case_s": round(slowest, 2), "growth_mb": round(growth, 2),
            "faults": [f"{where}: {what}" for where, what in faults.items()]}


def guided(target, corpus: Path) -> int:
    """Atheris chooses the bytes that Hypothesis makes cases of. A fault ends it with a traceback."""
    import atheris

    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target.cases)
    def survives(case):
        target.survives(case)

    corpus.mkdir(parents=True, exist_ok=True)
    for function in functions_of("distill_vo", "rosbags"):  # with torch it would take minutes
        atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], str(corpus)], survives.hypothesis.fuzz_one_input)
    atheris.Fuzz()
    return 0


def functions_of(*packages: str) -> Iterator[FunctionType]:
    """Every function and method of what is loaded of these packages."""
    for name, module in list(sys.modules.items()):
        if name.startswith(packages):
            for value in list(vars(module).values()):
                for member in list(vars(value).values()) if isinstance(value, type) else [value]:
                    if isinstance(member, FunctionType) and member.__module__ == name:
                        yield member


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
