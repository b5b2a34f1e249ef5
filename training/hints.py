"""What the teacher says of every pair, computed once: motions, hints and logits, memory-mapped.

Of the drives as they are and of all their twins (twins.py; reversed and strided drives are tracks of the
cache already), so that distilling costs only the student. The folder lies in the cache and its name holds
the hashes of teacher and data: what was computed for others is never taken.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

from distill_vo import frontend, inertia, refine, student
from distill_vo.networks import PoseRegressor
from distill_vo.student import Student, load_network
from distill_vo.trajectory import whole_file, write_whole
from training import losses, validate
from training.batches import Batch
from training.data.cache import PairCache, file_digest, join_digests
from training.twins import SWEEP_DEG, SWEEP_PAIRS, SWEEP_PHASES, TWINS, moved_by_twins, twins
from training.validate import chunks, said_by, seen


@dataclass(frozen=True)
class Taught:
    """The teacher's outputs for one batch: motion (B, 1, 6), hint (B, 1, width), trust (B, 1), ..."""

    motion: Tensor
    hint: Tensor
    logits: Tensor | None
    error: Tensor  # e_i
    trust: Tensor  # Phi_i


class TeacherOutputs:
    """Outputs for all pairs of a cache, of each twin. error is e_i (twins, N)."""

    def __init__(self, folder: Path, motions: np.ndarray, rotation_weight: float):
        self.name = folder.name
        self.motions = motions  # (twins, N, 6)
        self.hints = np.load(folder / "hints.npy", mmap_mode="r")
        bins = folder / "logits.npy"
        self.logits = np.load(bins, mmap_mode="r") if bins.exists() else None
        truth = torch.from_numpy(np.load(folder / "truth.npy"))
        self.error = losses.squared_error(torch.from_numpy(np.array(self.motions)), truth, rotation_weight)
        self.trust = torch.ones_like(self.error)

    def trust_by(self, eta: float) -> None:
        """Set Phi for all pairs from this eta."""
        self.trust = losses.trust(self.error, eta)

    def of(self, batch: Batch) -> Taught:
        """What the teacher says of the batch's pairs, on the batch's device. Windows of one pair only."""
        at, device = (batch.twin, batch.rows), batch.inputs.device

        def take(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array[at].astype(np.float32)).to(device)[:, None]

        return Taught(take(self.motions), take(self.hints),
                      None if self.logits is None else take(self.logits),
                      self.error[at].to(device)[:, None], self.trust[at].to(device)[:, None])


def teacher_outputs(teacher: Path, cache: PairCache, rotation_weight: float, device,
                    imitate: str = "network") -> TeacherOutputs:
    """Open the outputs of this teacher for this cache, after computing them if they are not there.

    imitate: which motions, see ObjectiveSettings.
    """
    network, settings, digest = load_network(teacher)
    turns = b"".join(part.tobytes() for part in (cache.turn, SWEEP_DEG, SWEEP_PAIRS, SWEEP_PHASES))
    key = hashlib.sha256(f"{digest} {cache.digest} ".encode() + turns).hexdigest()[:16]
    folder = cache.path / f"teacher-{key}"
    with FileLock(cache.path / "teacher.lock"):  # another process may be at it
        if not folder.exists():
            beside = cache.path / ".teacher"
            shutil.rmtree(beside, ignore_errors=True)  # what a run that was killed left behind
            _compute(network.to(device).eval(), cache, beside, device)
            write_whole(beside / "teacher.json", json.dumps({"teacher": digest, "cache": cache.digest}))
            os.replace(beside, folder)
        if imitate == "network":
            motions = np.load(folder / "motions.npy", mmap_mode="r")
        else:
            driven = _driven(Student(network, settings, teacher.stem, digest, device), cache, folder)
            motions = _of_twins(driven, TWINS[cache.front_end])
    return TeacherOutputs(folder, motions, rotation_weight)


def _driven(teacher: Student, cache: PairCache, folder: Path) -> np.ndarray:
    """The motions (N, 6) by which the teacher would drive, of levelled cameras; computed once.

    Where these modules are written anew the teacher drives otherwise.
    """
    modules = student, refine, frontend, inertia, validate
    rules = join_digests(file_digest(Path(module.__file__)) for module in modules)
    file = folder / f"driven-{rules[:16]}.npy"
    if not file.exists():
        motions = np.empty((len(cache), 6))
        for track in tqdm(cache.tracks, "driven", unit="track", disable=None):
            motions[track.rows], _ = said_by(teacher, seen(cache, track))
        with whole_file(file) as whole, whole.open("wb") as stream:
            np.save(stream, motions)
    return np.load(file)


def _of_twins(motions: np.ndarray, count: int) -> np.ndarray:
    """Motions (N, 6) of levelled cameras -> of all their twins (count, N, 6) float32."""
    rows = np.arange(len(motions))
    said = [moved_by_twins(motions, rows, np.full(len(rows), twin)) for twin in range(count)]
    return np.stack(said).astype(np.float32)


@torch.inference_mode()
def _compute(network: PoseRegressor, cache: PairCache, folder: Path, device) -> None:
    folder.mkdir()
    settings, count = network.settings, TWINS[cache.front_end]
    # What is only imitated need not be exact to more digits than half precision has.
    kinds = {"motions": (np.float32, 6), "truth": (np.float32, 6), "hints": (np.float16, settings.hint_width)}
    kinds |= {"logits": (np.float16, 6, settings.bins)} if settings.bins else {}
    arrays = {name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype,
                                              (count, len(cache), *shape))
              for name, (dtype, *shape) in kinds.items()}
    for track in tqdm(cache.tracks, "teacher", unit="track", disable=None):
        state, of_track = None, np.arange(track.start, track.stop)
        for part in chunks(len(of_track), cache.front_end):
            rows = of_track[part]
            inputs, arrays["truth"][:, rows] = map(np.stack, zip(*(
                twins(cache, rows, np.full(len(rows), t)) for t in range(count)), strict=True))
            out = network(torch.from_numpy(inputs).to(device), state)
            state = out.state
            for name, value in (("motions", out.motion), ("hints", out.hint), ("logits", out.logits)):
                if name in arrays:
                    arrays[name][:, rows] = value.cpu().numpy()
    for array in arrays.values():
        array.flush()
