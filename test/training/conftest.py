"""A cache of a few hundred pairs whose motions can be read off their flow."""

import numpy as np
import pytest

from distill_vo.frontend import DenseFlow
from training.data.cache import PairCache, Track, write_index

# What one unit of each axis of the motion adds to u and v of the view and of the road from above: rough, but
# as in a real view.
ROWS, COLUMNS = np.mgrid[-1:1:12j, -1:1:40j]
ONE, NONE = np.ones_like(ROWS), np.zeros_like(ROWS)
PATTERNS = np.stack([
    np.stack([np.maximum(ROWS, 0), NONE, -0.2 * ONE, NONE]),
    np.stack([NONE, np.maximum(ROWS, 0), NONE, NONE]),
    np.stack([COLUMNS, ROWS, NONE, 4 * ONE]), np.stack([NONE, 1 + ROWS**2, NONE, 0.1 * (1 - ROWS)]),
    np.stack([-1 - COLUMNS**2, NONE, 0.1 * (1 - ROWS), NONE]), np.stack([ROWS, -COLUMNS, NONE, NONE]),
])
SPREAD = np.array([0.02, 0.02, 0.4, 0.003, 0.01, 0.003])


def write_cache(path, seed: int, drives: int = 4, pairs: int = 100) -> PairCache:
    rng = np.random.default_rng(seed)
    path.mkdir()
    motions = rng.normal([0, 0, 0.8, 0, 0, 0], SPREAD, size=(drives * pairs, 6))
    flow = np.zeros((drives * pairs, *DenseFlow.shape))  # and no corners
    flow[:, :4] = np.einsum("ni,icrk->ncrk", motions / SPREAD, PATTERNS)
    flow[:, :4] += rng.normal(0, 0.1, flow[:, :4].shape)
    np.save(path / "inputs.npy", flow.astype(np.float32))
    np.save(path / "motions.npy", motions)
    tracks = [Track(f"drive{i}", 1, i * pairs, (i + 1) * pairs, 0.1) for i in range(drives)]
    write_index(path, tracks, f"made up {seed}", {"front_end": "dense_flow", "said": "made up",
                                                  "strides": [1], "drives": [t.name for t in tracks]})
    return PairCache.open(path, "dense_flow")


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "train", 0)


@pytest.fixture
def validation(tmp_path):
    return write_cache(tmp_path / "validation", 1, drives=2)
