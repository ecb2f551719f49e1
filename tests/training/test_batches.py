"""Batches cover an epoch's rows once, in an order of the epoch's own."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.features.blocks import Blocks, written
from shopkit.features.tensors import Ragged
from shopkit.models.base import Arrays
from shopkit.training import batches as module
from shopkit.training.batches import Batches, epoch_seed, shuffled_blocks, trimmed


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


# -- arrays in files ------------------------------------------------------------------------------------------------


def in_file(n: int, folder) -> Arrays:
    values = np.arange(n, dtype=np.float32)[:, None]
    path = folder / f"{n}.arrow"
    with written(path, values.dtype, values.shape) as writer:
        writer.add(values)
    return Arrays({"dense": Blocks(path)}, np.arange(n))


@settings(deadline=None)
@given(n=st.integers(1, 20_000), window=st.integers(1, 30), seed=st.integers(0, 5))
def test_block_shuffle_gives_every_row_once(n, window, seed):
    order = shuffled_blocks(n, window, np.random.default_rng(seed))
    assert np.array_equal(np.sort(order), np.arange(n))


def test_rows_of_a_file_come_once_an_epoch_with_their_targets(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", 700)
    batches = Batches(in_file(30_000, tmp_path), 256, seed=0)
    assert batches.window_blocks
    seen = []
    for chunk in batches:
        assert torch.equal(chunk["dense"][:, 0].long(), chunk["target"])
        seen.append(chunk["target"])
    assert sorted(torch.cat(seen).tolist()) == list(range(30_000))


def test_an_epoch_of_a_file_that_is_repeated_draws_what_it_drew(tmp_path):
    first, again, other = (
        torch.cat(one_epoch(Batches(in_file(20_000, tmp_path), 256, seed=0), epoch)).tolist() for epoch in (3, 3, 4)
    )
    assert first == again != other


def test_devices_share_the_rows_of_a_file(tmp_path):
    shares = []
    for rank in range(2):
        batches = Batches(in_file(20_480, tmp_path), 256, seed=0)
        batches.shard(rank, 2)
        shares.append(torch.cat(one_epoch(batches)))
    assert len(shares[0]) == len(shares[1])
    assert sorted(torch.cat(shares).unique().tolist()) == list(range(20_480))


def test_a_window_holds_rows_from_all_over_the_file():
    """The rows stand in order of time: a batch must not be a moment."""
    n = 1_000_000
    order = shuffled_blocks(n, 64, np.random.default_rng(0))
    places = order[: 256 * 100].reshape(100, 256) / n
    # Of 256 uniform draws, the mean lies within 0.5 ± 4 · 0.289 / 16; that of 64 blocks adds 0.289 / 8.
    assert np.abs(places.mean(1) - 0.5).max() < 4 * 0.289 * (1 / 16 + 1 / 8)
    assert places.std(1).min() > 0.2


def test_a_file_trains_as_well_as_memory_with_rows_in_order_of_time(tmp_path, monkeypatch):
    """Rates drift over time, so an order that follows it would end at the last rows' rates."""
    monkeypatch.setattr(module, "BLOCK_ROWS", 64)
    monkeypatch.setattr(module, "WINDOW_BYTES", 1)  # the least window: 1024 of 16,000 rows
    rng = np.random.default_rng(0)
    n = 16_000
    x = rng.normal(size=(n, 4)).astype(np.float32)
    logit = x @ np.array([1.0, -1.0, 0.5, 0.0]) + np.linspace(-3, 3, n)
    target = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    path = tmp_path / "x.arrow"
    with written(path, x.dtype, x.shape) as writer:
        writer.add(x)
    losses = {}
    for name, arrays in (("memory", x), ("file", Blocks(path)), ("in order", Blocks(path))):
        if name == "in order":
            monkeypatch.setattr(module, "shuffled_blocks", lambda n, window_blocks, rng: np.arange(n))
        model = torch.nn.Linear(4, 1)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        batches = Batches(Arrays({"dense": arrays}, target), 64, seed=0)
        for epoch in range(4):
            batches.epoch = epoch
            for chunk in batches:
                for rows, truth in zip(chunk["dense"].split(batches.rows), chunk["target"].split(batches.rows), strict=True):
                    optimizer.zero_grad()
                    torch.nn.functional.binary_cross_entropy_with_logits(model(rows)[:, 0], truth).backward()
                    optimizer.step()
        scores = model(torch.from_numpy(x))[:, 0].detach()
        losses[name] = float(torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.from_numpy(target)))
    assert abs(losses["file"] - losses["memory"]) < 0.003
    assert losses["in order"] > losses["memory"] + 0.03
