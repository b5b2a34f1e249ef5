"""What a finished training leaves behind: the network's file, and run.json that tells its story."""

import json
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np

from distill_vo.networks import PoseRegressor, count_parameters
from distill_vo.student import Student, StudentSettings, save
from distill_vo.trajectory import write_whole
from training.calibrate import calibrated
from training.data.cache import PairCache
from training.validate import forward_drives, motions_by, predict, validate


def save_run(out: Path, name: str, network: PoseRegressor, settings, cache: PairCache, validation: PairCache,
             extra: dict | None = None) -> None:
    """Write out/NAME.safetensors and out/run.json. `settings` is a dataclass that has `training`."""
    file = out / f"{name}.safetensors"
    network = network.cpu()
    about = StudentSettings(network.settings, sigma_scale(network, validation))
    about = calibrated(Student(network, about, name), [validation])
    digest = save(file, network, about)
    figures = validate(motions_by(network, "cpu"), validation) | (extra or {})
    story = {
        "name": name, "digest": digest, "parameters": count_parameters(network),
        "data": f"{len(cache)} frame pairs of {len(cache.about['drives'])} drives "
                f"({cache.about['said']}), strides {cache.about['strides']}",
        **provenance(), "seed": settings.training.seed,
        "validation": {k: v if np.isfinite(v) else None for k, v in figures.items()},
        "settings": asdict(settings),
    }
    write_whole(out / "run.json", json.dumps(story, indent=1) + "\n")
    print(f"{file}: {digest}\n{json.dumps(story['validation'])}")


def sigma_scale(network: PoseRegressor, cache: PairCache) -> tuple[float, ...]:
    """Factor for each axis (6,) by which sigma must grow for 68.3 % of errors to lie within it.

    A quantile, not a root mean square: a few frames on which everything fails must not blur all others.
    """
    ratios = []
    for drive in forward_drives(cache):
        found = predict(network, drive.inputs, "cpu")
        ratios.append(np.abs(found.motions - drive.motions) / found.sigmas)
    return tuple(float(v) for v in np.quantile(np.concatenate(ratios), 0.6827, axis=0))


def provenance(program: str = "python -m training") -> dict[str, str]:
    """What every measured file says of where it comes from. Of places outside the checkout the name alone."""
    words = [Path(word).name if word.startswith(("/", "..")) else word for word in sys.argv[1:]]
    return {"command": f"{program} {shlex.join(words)}".strip(), "commit": commit(),
            "date": str(date.today()), "machine": f"{platform.machine()}, CPU"}


def machine_load() -> dict:
    """What else ran beside a measurement, for those that time processes: Linux's load averages, and the
    priority (nice) of what was measured."""
    return {"cores": os.cpu_count(), "load_average": [round(load, 1) for load in os.getloadavg()],
            "nice": os.getpriority(os.PRIO_PROCESS, 0)}


def commit() -> str:
    """The checkout's commit, marked where code or settings have changed since."""
    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False)

    changed = git("diff", "--quiet", "HEAD", "--", "*.py", "*.yaml").returncode
    return (git("rev-parse", "--short=12", "HEAD").stdout.strip() or "unknown") + "-dirty" * bool(changed)
