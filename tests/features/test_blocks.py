"""Arrays in compressed blocks behave as the arrays they hold."""

from __future__ import annotations

import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.features import blocks as module
from shopkit.features.blocks import Blocks, written
from shopkit.features.files import new_array


def stored(values: np.ndarray, path: Path, portion: int = 100) -> Blocks:
    with written(path, values.dtype, values.shape) as writer:
        for start in range(0, len(values), portion):
            writer.add(values[start : start + portion])
    return Blocks(path)


@settings(deadline=None, max_examples=50)
@given(n=st.integers(0, 3000), width=st.integers(1, 5), portion=st.integers(1, 2500), seed=st.integers(0, 9), data=st.data())
def test_slices_rows_and_masks(tmp_path_factory, n, width, portion, seed, data):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, width)).astype(np.float32)
    found = stored(values, tmp_path_factory.mktemp("blocks") / "x.arrow", portion)
    assert (len(found), found.shape, found.dtype, found.nbytes) == (n, values.shape, values.dtype, values.nbytes)
    rows = rng.integers(0, max(n, 1), 40 if n else 0)
    start, stop = sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n + 5))))
    np.testing.assert_array_equal(found[start:stop], values[start:stop])
    assert found[start:stop].dtype == found[::3].dtype == found[rows[:0] if n else values[:0, 0] > 0].dtype == values.dtype
    np.testing.assert_array_equal(found[::2], values[::2])
    np.testing.assert_array_equal(found[::3], values[::3])
    np.testing.assert_array_equal(found[rows], values[rows])
    np.testing.assert_array_equal(found[values[:, 0] > 0], values[values[:, 0] > 0])
    np.testing.assert_array_equal(np.asarray(found), values)
    assert np.asarray(found, np.float64).dtype == np.float64


def test_whole_numbers_stay_whole(tmp_path):
    ids = np.arange(5000)[:, None] * 2**40 + 2**60 + 1  # more than a float can tell apart
    np.testing.assert_array_equal(stored(ids, tmp_path / "ids.arrow")[:], ids)


def test_wide_rows_make_small_blocks(tmp_path):
    values = np.zeros((10, 2**19), np.float32)
    found = stored(values, tmp_path / "x.arrow", 3)
    assert found.block_rows == 2
    np.testing.assert_array_equal(found[:], values)
    assert stored(np.zeros((3, 2**21), np.float32), tmp_path / "y.arrow").block_rows == 1


def test_only_the_path_travels_to_another_process(tmp_path):
    values = np.random.default_rng(0).normal(size=(3000, 4))
    found = stored(values, tmp_path / "x.arrow")
    sent = pickle.dumps(found)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent)[1000:2500], values[1000:2500])


@pytest.mark.parametrize(("width", "kept"), [(1, 6), (2, 3), (4, 1), (64, 1)])
def test_few_blocks_are_kept(tmp_path, monkeypatch, width, kept):
    monkeypatch.setattr(module, "CACHE_BYTES", 6 * 1024 * 8)
    values = np.arange(20_000.0 * width).reshape(-1, width)
    found = stored(values, tmp_path / "x.arrow")
    rows = np.random.default_rng(0).permutation(20_000)
    np.testing.assert_array_equal(found[rows], values[rows])
    assert len(found._cache) == kept


def test_the_block_that_was_unused_for_longest_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CACHE_BYTES", 2 * 1024 * 8)
    found = stored(np.arange(4 * 1024.0)[:, None], tmp_path / "x.arrow")
    for block in (0, 1, 0, 2):
        found[np.array([1024 * block])]
    assert list(found._cache) == [0, 2]


def test_zeros_take_little_room(tmp_path):
    found = stored(np.zeros((10_000, 50), np.float32), tmp_path / "x.arrow")
    assert found.path.stat().st_size < found.nbytes / 20


def test_a_full_disk_is_said_in_plain_words(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*x\.arrow'"):
            stored(np.random.default_rng(0).random((10_000, 50)), tmp_path / "x.arrow")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_array_has_its_room_on_the_disk_before_it_is_written(tmp_path):
    values = new_array(tmp_path / "x.npy", np.float32, (1000, 5))
    assert (values.shape, values.dtype) == ((1000, 5), np.float32)
    assert (tmp_path / "x.npy").stat().st_blocks * 512 >= values.nbytes
    values[:] = 3
    values.flush()
    assert (np.load(tmp_path / "x.npy") == 3).all()
    assert (tmp_path / "x.npy").stat().st_size == 128 + values.nbytes
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(OSError, match=r"^\[Errno 27\] File too large: '.*y\.npy'$"):
            new_array(tmp_path / "y.npy", np.float64, (100_000,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "y.npy").exists()


def test_no_room_is_said_with_the_file_that_is_gone_then(tmp_path, monkeypatch):
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", no_room)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.*x\.npy'$"):
        new_array(tmp_path / "x.npy", np.float32, (10,))
    assert not list(tmp_path.iterdir())


def test_an_array_whose_file_cannot_be_opened(tmp_path, monkeypatch):
    def too_many(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("numpy.lib.format.open_memmap", too_many)
    with pytest.raises(OSError, match=r"^\[Errno 24\] Too many open files: '.*x\.npy'$"):
        new_array(tmp_path / "x.npy", np.float32, (10,))


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError, match="absent"), written(tmp_path / "absent" / "x.arrow", np.float32, (1, 1)):
        pass
