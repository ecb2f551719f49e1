from __future__ import annotations

from typing import Any

import pytest

from shopkit.errors import ConfigError
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.settings import build


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_bootstrap": -1}, r"evaluation.n_bootstrap is -1; it must be at least 0\."),
        ({"cases": -1}, r"evaluation.cases is -1; it must be at least 0\."),
        ({"min_segment_rows": 0}, r"evaluation.min_segment_rows is 0; it must be at least 1\."),
        ({"confidence": 95.0}, r"evaluation.confidence is 95; it must lie between 0 and 1\."),
        ({"latency_seconds": 0.0}, r"evaluation.latency_seconds is 0; it must be above 0\."),
        ({"latency_batch_sizes": [1, 0]}, r"evaluation.latency_batch_sizes is \[1, 0\]; each must be at least 1\."),
        (
            {"baselines": [{"model": "mlp"}]},
            r"evaluation.baselines has \{'model': 'mlp'\}; write a model's name, or ",
        ),
        (
            {"baselines": [{"name": "mlp", "as": "../x"}]},
            "where `as` has letters, digits, _ and - only",
        ),
        (
            {"baselines": ["mlp", {"name": "mlp"}]},
            "shows two models as 'mlp'; tell them apart with `as: <name>`",
        ),
        ({"n_boostrap": 3}, "Did you mean 'n_bootstrap'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(EvaluationSettings, settings, "evaluation")
