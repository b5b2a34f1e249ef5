"""What an epoch of distilling costs, by the number of pairs: time should grow with them, memory should not.

  python -m training scaling --teacher runs/teacher/teacher.safetensors --cache cache/train \\
      --out docs/results/scaling.json

The cache's pairs are repeated up to each size. Every size is trained in a process of its own for two epochs,
with the teacher's outputs in place; the second epoch is timed. Memory is what the process itself holds,
without the pages of the memory-mapped files, which the system drops when it needs them.
"""

import argparse
import json
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
import torch

from distill_vo.student import load_network
from distill_vo.trajectory import write_whole
from training import objectives, shapes
from training.arguments import positive
from training.data.cache import PairCache, Track, write_index
from training.data.drive import DT
from training.hints import teacher_outputs
from training.mirror import untrained
from training.objectives import ObjectiveSettings
from training.results import provenance
from training.train import TrainingSettings, fabric_for, train

SIZES = (5_000, 20_000, 80_000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", type=Path, required=True, help="file that `teacher` wrote")
    parser.add_argument("--cache", type=Path, required=True, help="pairs to repeat")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--sizes", type=positive, nargs="+", default=SIZES, metavar="N",
                        help="pairs in an epoch (default: 5000 20000 80000)")


def run(args: argparse.Namespace) -> None:
    teacher, _, _ = load_network(args.teacher)
    cache = PairCache.open(args.cache, teacher.settings.front_end)
    rows = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            _repeat(cache, Path(folder) / "cache", size)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                rows.append(pool.apply(_measure, (args.teacher, Path(folder))))
        print(json.dumps(rows[-1]), flush=True)
    write_whole(args.out, json.dumps({**provenance(), "threads": torch.get_num_threads(), "rows": rows},
                                     indent=1) + "\n")


def _repeat(cache: PairCache, out: Path, size: int) -> None:
    """A cache of `size` pairs, as one track."""
    out.mkdir()
    for name, source in (("inputs", cache.inputs), ("motions", cache.motions)):
        array = np.lib.format.open_memmap(out / f"{name}.npy", "w+", source.dtype, (size, *source.shape[1:]))
        for start in range(0, size, len(source)):
            part = source[:size - start]
            array[start:start + len(part)] = part
        array.flush()
    about = {"front_end": cache.front_end, "said": f"{cache.about['said']}, repeated", "drives": ["repeated"],
             "strides": [1]}
    write_index(out, [Track("repeated", 1, 0, size, DT)], f"{cache.digest} {size}", about)


def _measure(teacher: Path, folder: Path) -> dict:
    """Two epochs of the attentive objective."""
    shape = load_network(teacher)[0].settings
    cache, settings = PairCache.open(folder / "cache", shape.front_end), ObjectiveSettings()
    outputs = teacher_outputs(teacher, cache, settings.rotation_weight, "cpu")
    objectives.set_trust(outputs, settings)
    network = untrained(shapes.student(shape, shapes.RATES[-1]), cache)
    how = TrainingSettings(epochs=2)
    train(network, objectives.regression(settings, outputs, network), how, cache, None, folder / "run",
          fabric_for(how), {})
    seconds = torch.load(folder / "run" / "last.ckpt", weights_only=True)["curves"][-1]["seconds"]
    return {"pairs": len(cache), "epoch_seconds": seconds, "own_memory_mb": _own_memory_mb(),
            "microseconds_per_pair": 1e6 * seconds / len(cache)}


def _own_memory_mb() -> float:
    """Resident memory of this process that no file stands behind, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1e3
    return float("nan")
