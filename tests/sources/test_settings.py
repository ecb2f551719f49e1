"""What the settings of sources refuse."""

from __future__ import annotations

import pytest

from shopkit.errors import ConfigError
from shopkit.sources.settings import DatabaseSettings, DataFrameSettings, FilesSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "a", "tables": {"b": "c"}}, "give one of them, not both"),
        ({"delimiter": "::"}, r"source\.delimiter: '::' has 2 characters"),
        ({"decimal": ";"}, r"source\.decimal is ';'; it must be"),
        ({"encoding": "utf-9"}, "'utf-9' is not an encoding"),
        ({"types": {"a": "numbr"}}, r"source\.types\.a: 'numbr' is not a type\. Did you mean 'number'\?"),
        ({"time_zone": "Mars/Base"}, "'Mars/Base' is not a time zone"),
    ],
)
def test_files(settings, message):
    with pytest.raises(ConfigError, match=message):
        FilesSettings(**settings)


@pytest.mark.parametrize("settings", [DatabaseSettings, DataFrameSettings])
def test_time_zones(settings):
    with pytest.raises(ConfigError, match="is not a time zone"):
        settings(time_zone="Nowhere")
