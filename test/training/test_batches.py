"""Too little data is refused by name, before anything is trained."""

import pytest

from distill_vo.errors import InputError
from training.batches import Batches


def test_fewer_windows_than_a_batch_are_refused(cache):
    with pytest.raises(InputError, match="400 windows of 1 pairs.*batch of 512"):
        Batches(cache, 512, 1, seed=0)
