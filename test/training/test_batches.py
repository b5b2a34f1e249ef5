"""What networks are shown of a cache: batches, with what hides the view here and there."""

import numpy as np
import pytest

from distill_vo.errors import InputError
from training.batches import Batches, occlude


def test_fewer_windows_than_a_batch_are_refused(cache):
    with pytest.raises(InputError, match="400 windows of 1 pairs.*batch of 512"):
        Batches(cache, 512, 1, seed=0)


@pytest.mark.parametrize("batch, world", [(0, 1), (4, 3), (2, 4)])
def test_a_batch_that_cannot_be_shared_is_refused(cache, batch, world):
    with pytest.raises(InputError, match=f"batch: {batch} is shared by {world} processes"):
        Batches(cache, batch, 1, seed=0, world=world)


def test_an_epoch_shows_each_window_once_and_all_twins(cache):
    batches = Batches(cache, 64, 2, seed=0)
    shown = [(batch.rows, batch.twin) for batch in batches.epoch(0)]
    rows, twin = np.concatenate(shown, axis=1)
    assert len(np.unique(rows)) == len(rows) == 64 * len(batches)
    assert set(twin) == {0, 1, 2}


def test_what_is_occluded_moves_otherwise_the_same_way_and_the_rest_as_it_did():
    rng = np.random.default_rng(0)
    flow = rng.uniform(1, 2, (20, 4, 12, 40)).astype(np.float32)
    share = (occlude(flow, 0.3, rng) / flow).reshape(20, 2, 2, -1)  # pairs, view and road, u and v, cells
    np.testing.assert_allclose(share[:, :, 0], share[:, :, 1], rtol=1e-5)  # what moves keeps its direction
    moved = np.abs(share[:, :, 0] - 1) > 1e-6
    np.testing.assert_allclose(moved.mean(axis=-1), 0.3, atol=0.01)
    assert (moved[:, 0] != moved[:, 1]).any(axis=-1).all()  # not in the view where it does on the road
    grids = moved.reshape(-1, 12, 40)
    assert (grids[..., 1:] == grids[..., :-1]).mean() > 0.8  # patches, where single cells would have 0.58
    assert all(len(np.unique(other[is_so].round(5))) == 1 for other, is_so in zip(
        share[:, :, 0].reshape(40, -1), moved.reshape(40, -1), strict=True))
