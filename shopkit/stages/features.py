"""The extractors, fitted on the training part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shopkit.features.base import counted
from shopkit.runs import copy
from shopkit.training.warm_start import VOCABULARIES

if TYPE_CHECKING:
    from shopkit.stages.way import Way


def run(way: Way) -> tuple[str, dict[str, Any]]:
    features = way.fit_features(way.experiment.model, way.run.work / "features", earlier=way.earlier)
    copy(features.folder / "features.onnx", way.run.features_path)
    for name in (VOCABULARIES, *features.assets):
        copy(features.folder / name, way.run.path / name)
    facts = {
        "schema": features.schema.to_json(),
        "spec": features.spec.to_json(),
        "columns": features.description,
        "n_dense": features.spec.n_dense,
        "n_ids": features.spec.n_ids,
        "assets": list(features.assets),
        "cut": list(features.cut),
    }
    longer = [cut for cut in features.cut if cut["rows"]]
    shorter = "".join(f"; {cut['rows']:.1%} of rows cut to {cut['max_length']} {cut['unit']}" for cut in longer)
    return f"{counted(len(features.schema.of_role('feature')), 'column')} → {features.spec}{shorter}", facts
