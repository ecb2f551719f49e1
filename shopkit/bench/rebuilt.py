"""The model of a run, rebuilt in torch from its folder: what would have been served without a file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import pandas as pd
import torch

from shopkit.bench.by_hand import by_hand
from shopkit.bench.clock import Call, CannotError, Contestant, LeftOut
from shopkit.bench.rows import Rows, as_frame
from shopkit.config.composer import Composer
from shopkit.errors import ShopkitError
from shopkit.features.base import FeatureSpec
from shopkit.features.transform import footprint
from shopkit.models.base import Model
from shopkit.raw import Raw, read_columns
from shopkit.registry import load_registry
from shopkit.runs import Run, read_json
from shopkit.runtime.artifact import open_session
from shopkit.runtime.blocks import in_blocks
from shopkit.runtime.sequences import graph_feed
from shopkit.schema import INPUT_PREFIX, LENGTHS_INPUT, Schema
from shopkit.tasks.base import Task
from shopkit.training import checkpoint
from shopkit.training.warm_start import VOCABULARIES, WEIGHTS

FIT_ROWS = 20_000
"""Training rows, at most, that baselines are fitted on: enough to know ranges and categories by."""

Tensors = dict[str, np.ndarray]
Answer = Callable[[dict[str, torch.Tensor]], torch.Tensor]

EAGER, COMPILED, WITH_PANDAS = "eager torch", "torch.compile", "pandas + eager torch"


class Rebuilt:
    """Model, features and task of a run.

    Raises:
        CannotError: the run's configuration or its model cannot be built here.
    """

    def __init__(self, run: Run, rows: Rows) -> None:
        self.run, self.rows = run, rows
        registry = load_registry()
        try:
            self.experiment = Composer.of(registry).recompose(run.config_path)
            self.tags = registry.get("models", self.experiment.model.name).tags
            self.task: Task = registry.build(self.experiment.task)
        except ShopkitError as error:
            raise CannotError(f"its configuration is not one of this installation: {error}") from error
        facts = {stage: run.facts(stage) or {} for stage in ("features", "export")}
        self.task.state = dict(facts["export"]["task"])
        self.spec = FeatureSpec.from_json(facts["features"]["spec"])
        self.columns = Schema.from_json(facts["features"]["schema"]).of_role("feature")
        self.described = facts["features"]["columns"]
        self._registry = registry

    @cached_property
    def model(self) -> Model:
        """In eval mode, with its weights where the run keeps them, else with others: they take equally long.

        Raises:
            CannotError: it is no torch model.
        """
        name = self.experiment.model.name
        if "estimator" in self.tags:
            raise CannotError(f"{name} is not a torch model")
        try:
            model: Model = self._registry.build(self.experiment.model, self.spec, self.task.n_outputs)
        except (ShopkitError, ImportError) as error:
            raise CannotError(f"{name} cannot be built here: {error}") from error
        if self.has_weights:
            model.load_state_dict(checkpoint.load(self.run.path / WEIGHTS)["weights"])
        return model.eval()

    @property
    def has_weights(self) -> bool:
        return (self.run.path / WEIGHTS).is_file()

    @cached_property
    def _features(self) -> Callable[[Raw], Tensors]:
        session = open_session(self.run.features_path)
        takes = footprint(onnx.load(self.run.features_path, load_external_data=False))
        names, inputs = [value.name for value in session.get_outputs()], {c.name: INPUT_PREFIX + c.name for c in self.columns}

        def some(raw: Raw) -> Tensors:
            feed = graph_feed(raw, self.columns, inputs, LENGTHS_INPUT)
            return dict(zip(names, session.run(names, feed), strict=True))

        return lambda raw: in_blocks(raw, self.columns, takes, some)

    def tensors(self, n_rows: int) -> Tensors:
        """What the model reads, for the rows."""
        found = self._features(self.rows.take(n_rows))
        return {name: np.ascontiguousarray(values) for name, values in found.items() if name in self.spec.shapes}

    def contestants(self) -> tuple[list[Contestant], list[LeftOut]]:
        """Those in torch, and why others are not there."""
        found: list[Contestant] = []
        left_out: list[LeftOut] = []
        try:
            module: Answer = self.model
        except CannotError as why:
            return found, [LeftOut(EAGER, str(why))]
        found.append(Contestant(EAGER, "the model in eager torch, fed with ready tensors", "tensors", self._on_tensors(module)))
        if torch.cuda.is_available():
            found.append(Contestant("eager torch, CUDA", "the same on the graphics card", "tensors", self._on_cuda()))
        if missing := no_compiler():
            left_out.append(LeftOut(COMPILED, missing))
        else:
            compiled: Answer = torch.compile(self.model, dynamic=True)
            what = "the model by torch.compile, fed with ready tensors"
            found.append(Contestant(COMPILED, what, "tensors", self._on_tensors(compiled)))
        try:
            found.append(self._with_pandas())
        except CannotError as error:
            left_out.append(LeftOut(WITH_PANDAS, str(error)))
        return found, left_out

    def training_rows(self) -> Raw:
        """The first of the training part."""
        is_train = read_columns(self.run.split_path, ["part"])["part"] == "train"
        chosen = np.zeros(len(is_train), bool)
        chosen[np.flatnonzero(is_train)[:FIT_ROWS]] = True
        return read_columns(self.run.examples_path, [column.name for column in self.columns], chosen)

    def arrays(self) -> Callable[[pd.DataFrame], Tensors]:
        """The pandas pre-processing of these features; raises `CannotError`."""
        vocabularies: Mapping[str, Any] = read_json(self.run.path / VOCABULARIES)
        return by_hand(self.spec, self.described, as_frame(self.training_rows()), vocabularies, self.run.path)

    def _on_tensors(self, module: Answer) -> Callable[[int, int], Call]:
        def prepare(n_rows: int, threads: int) -> Call:
            batch = {name: torch.from_numpy(values) for name, values in self.tensors(n_rows).items()}

            def call() -> np.ndarray:
                with torch.inference_mode():
                    return module(batch).numpy()

            try:
                call()
            except Exception as error:  # the compiler's own classes are many, and each means that there is no such baseline
                raise CannotError(f"it does not run: {str(error).strip().splitlines()[0][:200]}") from error
            return call

        return prepare

    def _on_cuda(self) -> Callable[[int, int], Call]:
        def prepare(n_rows: int, threads: int) -> Call:
            model = self._registry.build(self.experiment.model, self.spec, self.task.n_outputs).eval().cuda()
            batch = {name: torch.from_numpy(values) for name, values in self.tensors(n_rows).items()}

            def call() -> np.ndarray:
                with torch.inference_mode():
                    on_card = {name: values.cuda() for name, values in batch.items()}
                    return np.asarray(model(on_card).cpu().numpy())

            return call

        return prepare

    def _with_pandas(self) -> Contestant:
        arrays, decide = self.arrays(), self._decision()

        def prepare(n_rows: int, threads: int) -> Call:
            frame = as_frame(self.rows.take(n_rows))

            def call() -> np.ndarray:
                batch = {name: torch.from_numpy(values) for name, values in arrays(frame).items()}
                with torch.inference_mode():
                    return decide(self.model(batch)).numpy()

            shapes = {name: values.shape for name, values in self.tensors(n_rows).items()}
            for name, values in arrays(frame).items():
                if values.shape[0] != n_rows or values.shape[2:] != shapes[name][2:]:
                    raise CannotError(f"it gives {name} as {values.shape}, the features {shapes[name]}")
            call()
            return call

        return Contestant(WITH_PANDAS, "what a person would write: pandas, then the model in eager torch", "DataFrame", prepare)

    def _decision(self) -> Callable[[torch.Tensor], torch.Tensor]:
        name = self.experiment.task.name
        if name == "binary":
            return torch.sigmoid
        if name == "multiclass":
            return lambda scores: torch.softmax(scores, 1)
        return lambda scores: scores


def no_compiler() -> str:
    """Why `torch.compile` cannot be used here, or an empty string."""
    if next((True for name in ("c++", "g++", "clang++", "cl") if shutil.which(name)), False):
        return ""
    return "torch.compile needs a C++ compiler, and there is none on the path"
