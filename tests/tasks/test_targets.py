from __future__ import annotations

import numpy as np
import pytest

from shopkit.errors import DataError
from shopkit.tasks.targets import as_classes, class_shares, encode_classes, listed, loss_weights


def test_numbers_and_booleans_become_class_names() -> None:
    assert as_classes(np.array([1.0, 0.0, 2.5, -3.0])).tolist() == ["1", "0", "2.5", "-3"]
    assert as_classes(np.array([True, False])).tolist() == ["1", "0"]
    assert as_classes(np.array(["a", "b"], object)).tolist() == ["a", "b"]


def test_encoding_follows_the_order_of_the_classes() -> None:
    assert encode_classes(np.array([1.0, 0.0, 1.0]), ["1", "0"]).tolist() == [0, 1, 0]


def test_a_missing_target_is_an_error_with_its_row() -> None:
    with pytest.raises(DataError, match=r"missing in 1 rows \(first: row 1\); rows without a target must be set aside"):
        as_classes(np.array([1.0, np.nan]))
    with pytest.raises(DataError, match=r"missing in 2 rows \(first: row 0\)"):
        as_classes(np.array(["", "a", ""], object))


def test_no_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="The target has no rows"):
        as_classes(np.array([]))


def test_a_class_that_training_lacks_is_an_error_that_counts_its_rows() -> None:
    with pytest.raises(DataError, match=r"lacks: 'c', 'd', in 3 rows\. Classes in training: 'a', 'b'\. Merge rare classes"):
        encode_classes(np.array(["a", "c", "d", "c"], object), ["a", "b"])


def test_long_lists_are_cut() -> None:
    assert listed([str(number) for number in range(10)]).endswith("'7' and 2 more")


def test_balanced_weights_make_classes_equal_and_keep_the_mean_loss() -> None:
    shares = class_shares(np.array([0, 0, 0, 1]), None, 2)
    weights = loss_weights(shares, balanced=True)
    assert weights * shares == pytest.approx([0.5, 0.5])
    assert loss_weights(shares, balanced=False) == pytest.approx([1, 1])
    extra = loss_weights(shares, balanced=False, extra=[1, 3])
    assert extra[1] == pytest.approx(3 * extra[0])
    assert extra @ shares == pytest.approx(1)


def test_shares_are_weighted() -> None:
    assert class_shares(np.array([0, 1]), np.array([1.0, 3.0]), 2) == pytest.approx([0.25, 0.75])
