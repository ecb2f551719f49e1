"""A complete run, taken up again for what can be made from it without training: more exports."""

from __future__ import annotations

from functools import cached_property

import onnx

from shopkit import provenance
from shopkit.errors import ExportError, RunError
from shopkit.exporters.onnx import OnnxExporter
from shopkit.features.base import FeatureSpec
from shopkit.fitting import Features, FittedModel, rebuilt_model
from shopkit.runs import discard_temporaries, read_json
from shopkit.runtime import Predictor
from shopkit.schema import Schema
from shopkit.stages import exports
from shopkit.stages.way import Way
from shopkit.training.warm_start import VOCABULARIES, WEIGHTS


class Finished(Way):
    """The way of a complete run, whose pieces are read from its folder."""

    @cached_property
    def features(self) -> Features:
        facts = self.facts("features")
        return Features(
            onnx.load(self.run.features_path, load_external_data=False),
            FeatureSpec.from_json(facts["spec"]),
            Schema.from_json(facts["schema"]),
            facts["columns"],
            self.run.path,
            read_json(self.run.path / VOCABULARIES),
            facts["assets"],
        )

    @cached_property
    def model(self) -> FittedModel:
        """
        Raises:
            RunError: the run keeps no weights, or they do not give the answers of its file.
        """
        self._require_weights()
        return rebuilt_model(self.experiment.model, self.registry, self.features.spec, self.task, self.run.path / WEIGHTS)

    @property
    def has_exports(self) -> bool:
        """Whether all that `exports` asks for is there and sealed."""
        return not exports.lacking(self) and provenance.has_sealed_exports(self.run)

    def add_exports(self) -> None:
        """Make what `exports` asks for and the run lacks, seal it, and write the report again.

        Whenever it breaks off, the manifest says nothing untrue: what is about to change is taken out of it before.

        Raises:
            RunError: a file of the run was changed, or its model cannot be rebuilt.
        """
        lacking, recorded = exports.lacking(self), exports.recorded(self.run)
        if lacking:
            self._require_weights()  # before the whole run is read
        discard_temporaries(self.run.path)
        self.run.verify()
        if lacking:
            self._check_model()
            changing = {name for choice in lacking for name in recorded.get(choice.name, {}).get("files", [])}
            provenance.seal_exports(self.run, without=changing)
            self._stage("exports")
        provenance.seal_exports(self.run)
        self.run.forget_stage("report")
        self._stage("report")

    def _require_weights(self) -> None:
        if not (self.run.path / WEIGHTS).is_file():
            model = self.registry.get("models", self.experiment.model.name)
            why = f"{model.name} is not trained by gradients" if "estimator" in model.tags else "the run is old"
            raise RunError(
                f"{self.run.path} keeps no {WEIGHTS}: {why}. Run its experiment again, with exports=[…] and without resume=true."
            )

    def _check_model(self) -> None:
        try:
            OnnxExporter(self.fitted.gate).check(self.fitted, Predictor(self.run.model_path))
        except ExportError as error:
            raise RunError(
                f"{self.run.path}: its {WEIGHTS} do not give the answers of its model.onnx with the versions installed here "
                f"({error}). Run its experiment again, with exports=[…] and without resume=true."
            ) from error
