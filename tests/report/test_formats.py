from __future__ import annotations

import doctest
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.report import calling, card, figures, formats, headline, svg

FORMATS = (formats.decimal, formats.amount, formats.quantity, formats.count, formats.percent, formats.size, formats.duration)


@pytest.mark.parametrize("module", [calling, card, figures, formats, headline, svg])
def test_the_examples_in_docstrings_hold(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("value", [None, math.nan, math.inf, "text", True, []])
def test_what_is_not_a_number_is_a_dash(write: Any, value: Any) -> None:
    assert write(value) == formats.DASH


@given(st.floats(-1e15, 1e15, allow_nan=False))
def test_an_amount_keeps_its_value_to_a_thousandth(value: float) -> None:
    read_back = float(formats.amount(value).replace(",", "").replace("−", "-"))
    assert math.isclose(read_back, value, rel_tol=1e-3, abs_tol=1e-300)


@given(st.floats(0, 1))
def test_a_percentage_keeps_its_value_to_a_tenth_of_a_point(share: float) -> None:
    assert math.isclose(float(formats.percent(share).removesuffix("\u00a0%")), 100 * share, abs_tol=0.051)
