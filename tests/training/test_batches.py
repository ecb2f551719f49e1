"""Batches cover an epoch's rows once, in an order of the epoch's own."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.features.tensors import Ragged
from shopkit.models.base import Arrays
from shopkit.training import batches as module
from shopkit.training.batches import Batches, epoch_seed, trimmed


def numbered(n: int) -> Arrays:
    return Arrays({"dense": np.arange(n, dtype=np.float32)[:, None]}, np.arange(n))


def one_epoch(batches: Batches, epoch: int = 0) -> list[torch.Tensor]:
    batches.epoch = epoch
    return [batch for chunk in batches for batch in chunk["target"].split(batches.rows)]


@settings(deadline=None)
@given(n=st.integers(1, 700), batch_size=st.integers(1, 300), chunk_rows=st.integers(1, 400))
def test_every_row_once_in_batches_of_nearly_one_size(n, batch_size, chunk_rows):
    original, module.CHUNK_ROWS = module.CHUNK_ROWS, chunk_rows
    try:
        batches = Batches(numbered(n), batch_size, seed=0)
        parts = one_epoch(batches)
        assert len(list(batches)) == len(batches)
    finally:
        module.CHUNK_ROWS = original
    assert sorted(torch.cat(parts).tolist()) == list(range(n))
    assert len(parts) == batches.steps
    assert {len(part) for part in parts[:-1]} <= {batches.rows}
    assert batches.rows <= 1.5 * batch_size + 1


def test_features_stay_with_their_target():
    for chunk in Batches(numbered(1000), 64, seed=0):
        assert torch.equal(chunk["dense"][:, 0].long(), chunk["target"])


def test_the_order_depends_on_seed_and_epoch_alone():
    orders = [
        torch.cat(one_epoch(Batches(numbered(500), 64, seed=seed), epoch)).tolist()
        for seed, epoch in [(0, 0), (0, 0), (0, 1), (1, 0)]
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] != orders[3] != orders[0]


@settings(deadline=None)
@given(n=st.integers(1, 300), batch_size=st.integers(1, 100), devices=st.integers(2, 4))
def test_devices_share_every_batch_and_do_equally_many_steps(n, batch_size, devices):
    shares = []
    for rank in range(devices):
        batches = Batches(numbered(n), batch_size, seed=0)
        batches.shard(rank, devices)
        shares.append(one_epoch(batches))
    assert len({tuple(len(part) for part in parts) for parts in shares}) == 1
    rows = torch.cat([torch.cat(parts) for parts in shares])
    if n >= devices * batches.steps * batches.rows:
        assert len(rows.unique()) == len(rows)


def test_few_steps_for_a_quick_try():
    batches = Batches(numbered(1000), 10, seed=0, max_steps=3)
    assert [len(part) for part in one_epoch(batches)] == [10, 10, 10]


def test_rows_may_stand_in_a_memory_map(tmp_path):
    mapped = np.memmap(tmp_path / "dense", np.float32, "w+", shape=(50, 2))
    mapped[:] = np.arange(100).reshape(50, 2)
    mapped.flush()
    read_only = np.memmap(tmp_path / "dense", np.float32, "r", shape=(50, 2))
    (chunk,) = Batches(Arrays({"dense": read_only}, np.arange(50)), 8, seed=0)
    assert torch.equal(chunk["dense"][:, 0].long(), chunk["target"] * 2)


def test_epoch_seeds_differ():
    seeds = {epoch_seed(seed, epoch, rank) for seed in range(5) for epoch in range(20) for rank in range(2)}
    assert len(seeds) == 200


def of_lengths(lengths: np.ndarray) -> Arrays:
    steps = np.zeros((len(lengths), max(1, int(lengths.max())), 2), np.float32)
    return Arrays({"sequence_dense": steps, "lengths": lengths}, np.arange(len(lengths)))


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=300), batch_size=st.integers(1, 60))
def test_sequences_too_come_once_each(lengths, batch_size):
    parts = one_epoch(Batches(of_lengths(np.array(lengths)), batch_size, seed=0))
    assert sorted(torch.cat(parts).tolist()) == list(range(len(lengths)))


def test_batches_hold_rows_of_like_length_in_an_order_of_chance():
    lengths = np.random.default_rng(0).integers(0, 100, 2000)
    epochs = [one_epoch(Batches(of_lengths(lengths), 50, seed=0), epoch) for epoch in (0, 1)]
    spreads = [np.ptp(lengths[batch.numpy()]) for batch in epochs[0]]
    assert np.median(spreads) < 30
    means = [lengths[batch.numpy()].mean() for batch in epochs[0]]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5
    first, second = ({frozenset(batch.tolist()) for batch in batches} for batches in epochs)
    assert not first & second


def test_a_batch_is_cut_to_its_longest_row():
    batch = {"sequence_ids": np.ones((2, 9, 1)), "lengths": np.array([3, 5]), "dense": np.ones((2, 7))}
    assert {name: tuple(values.shape) for name, values in trimmed(batch).items()} == {
        "sequence_ids": (2, 5, 1),
        "lengths": (2,),
        "dense": (2, 7),
    }
    assert trimmed({**batch, "lengths": np.array([0, 0])})["sequence_ids"].shape == (2, 1, 1)


def test_ragged_rows_are_padded_to_the_longest_of_their_own_batch():
    lengths = np.random.default_rng(0).integers(0, 30, 500)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = Ragged(np.repeat(np.arange(1, 501, dtype=np.int32), lengths), offsets, np.int64)
    batches = Batches(Arrays({"tokens": tokens, "token_lengths": lengths}, np.arange(500)), 50, seed=0)
    seen = []
    for chunk in batches:
        for batch, rows in zip(chunk["tokens"], torch.split(chunk["target"], batches.rows), strict=True):
            assert batch.dtype == torch.int64
            assert batch.shape == (len(rows), max(1, lengths[rows].max()))
            inside = torch.arange(batch.shape[1]) < torch.from_numpy(lengths)[rows].unsqueeze(1)
            assert torch.equal(batch, torch.where(inside, rows.unsqueeze(1) + 1, 0))
            seen += rows.tolist()
    assert sorted(seen) == list(range(500))
