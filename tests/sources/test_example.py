from __future__ import annotations

import pytest

from shopkit.errors import ConfigError
from shopkit.sources.example import ExampleSource
from shopkit.sources.settings import ExampleSettings


def test_the_shop_is_the_same_each_time() -> None:
    first, second = (ExampleSource(ExampleSettings()).open() for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert ExampleSource(ExampleSettings(seed=1)).open().fingerprint != first.fingerprint
    assert [*first] == ["visits", "orders"]
    assert first["visits"].count().execute() == 800
    assert first.units == {"amount": "EUR", "basket_value": "EUR"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_visits": 0}, "source.n_visits is 0; it must be at least 1."),
        ({"n_customers": -1}, "source.n_customers is -1; it must be at least 1."),
        ({"seed": -1}, "source.seed is -1; it must be at least 0."),
    ],
)
def test_settings_out_of_range(given: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ExampleSettings(**given)
    assert str(error.value) == message
