"""Features and model of one choice, fitted on a split: what the run's own model and every baseline go through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from shopkit.errors import ConfigError, RunError
from shopkit.exporters.base import Raw
from shopkit.features.base import FeatureSpec
from shopkit.features.cut import Cut, cut_sequences, cut_texts
from shopkit.features.graph import FittedFeatures, fit
from shopkit.features.plan import ResolvedPlan, resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.tensors import READ_BY, FeatureArrays, take
from shopkit.features.training_part import training_part
from shopkit.features.transform import footprint, in_memory, load, n_bytes, transform
from shopkit.models.base import Arrays, Estimator, Model
from shopkit.models.to_onnx import to_onnx
from shopkit.onnx_format import only
from shopkit.progress import doing
from shopkit.raw import evenly
from shopkit.registry import Choice, Registry
from shopkit.runs import read_json, replacing, write_json
from shopkit.runtime.artifact import open_session
from shopkit.runtime.blocks import in_blocks
from shopkit.runtime.repeats import asked_once
from shopkit.runtime.sequences import graph_feed
from shopkit.schema import INPUT_PREFIX, LENGTHS_INPUT, PARTS, Schema
from shopkit.tasks.base import Task
from shopkit.training import checkpoint
from shopkit.training import fit as training
from shopkit.training.processes import n_copies
from shopkit.training.scores import block_rows, model_scores
from shopkit.training.settings import TrainerSettings
from shopkit.training.warm_start import VOCABULARIES, WEIGHTS, Earlier, Vocabularies, save_weights, warm_start


@dataclass(frozen=True)
class Examples:
    """The examples and their parts, ready for fitting."""

    path: Path
    """Parquet of canonical columns, N rows."""
    schema: Schema
    parts: np.ndarray
    """Part of every row, int8 (N,): its place in `PARTS`, or -1."""
    target: np.ndarray
    """(N,) encoded target."""
    weight: np.ndarray | None
    """(N,) float32 sample weights."""
    n_classes: int = 0
    """Classes of a multiclass target, else 0."""
    groups: np.ndarray | None = None
    """(N,) int64: the group a row belongs to (customer)."""
    decisions: np.ndarray | None = None
    """(N,) int64: the decision of its group that a row belongs to; None where a group is one."""
    classes: tuple[str, ...] = ()
    """Their names."""
    times: np.ndarray | None = None
    """(N,) int64 seconds UTC."""
    memory: int = 2 << 30
    """Bytes that queries may take, and that features may take if they are to be held in memory; of larger ones, training draws
    shuffled blocks."""

    def rows(self, part: str) -> np.ndarray:
        """Which rows are in a part, bool (N,)."""
        return np.asarray(self.parts == PARTS.index(part))

    def thinned(self, part: str, most: int) -> Examples:
        """The same with at most so many rows in one part, evenly spaced; the others are in none."""
        rows = self.rows(part)
        kept = evenly(rows, most)
        return self if kept is rows else replace(self, parts=np.where(rows & ~kept, np.int8(-1), self.parts))


@dataclass(frozen=True)
class Features:
    """Fitted features on disk: the graph, what it gives, and the arrays of every part."""

    graph: onnx.ModelProto
    spec: FeatureSpec
    schema: Schema
    """The columns; those the plan leaves out are `ignored`, with a note why."""
    description: list[dict[str, Any]]
    """`column, kind, extractor, settings, why, width`, a row for each."""
    folder: Path
    vocabularies: Vocabularies
    """Column → categories, in the order of their ids."""
    assets: Sequence[str] = ()
    """Files in the folder that stand beside the exported one."""
    cut: Sequence[Mapping[str, Any]] = ()
    """What limits of length do to the training rows, as of `Cut`."""

    def arrays(self, examples: Examples, part: str, copies: int = 1) -> Arrays:
        """Features, target, weight and groups (or their decisions) of one part.

        Args:
            copies: processes that will hold what is in memory.
        """
        rows = examples.rows(part)
        stored = {each: {name: load(self.folder, each, name) for name in self.spec.shapes} for each in PARTS}
        size = sum(n_bytes(array) for arrays in stored.values() for array in arrays.values())
        fits = size * copies <= examples.memory
        features = {name: in_memory(array) if fits else array for name, array in stored[part].items()}
        weight = None if examples.weight is None else examples.weight[rows]
        within = examples.groups if examples.decisions is None else examples.decisions
        groups = None if within is None else within[rows]
        times = None if examples.times is None else examples.times[rows]
        return Arrays(features, examples.target[rows], weight, groups, times)

    def read_by(self, graphs: Iterable[onnx.ModelProto]) -> Features:
        """Without the columns of which these graphs read nothing; as it is, where they read something of each, or nothing."""
        tensors = {value.name for graph in graphs for value in graph.graph.input}
        graph = only(self.graph, tensors)
        inputs = {value.name for value in graph.graph.input}
        columns = self.schema.of_role("feature")
        unread = {column.name for column in columns if INPUT_PREFIX + column.name not in inputs}
        if not 0 < len(unread) < len(columns):
            return self
        return replace(self, graph=graph, schema=Schema(tuple(column for column in self.schema if column.name not in unread)))

    def discard_arrays(self) -> None:
        """Remove the arrays, which are the largest files of a run."""
        for path in (*self.folder.glob("*.arrow"), *self.folder.glob("*.npy")):
            path.unlink()

    def transformer(self) -> Callable[[Raw], dict[str, np.ndarray]]:
        """Canonical raw columns → tensors, through the graph."""
        session = open_session(self.graph.SerializeToString())
        names = [output.name for output in session.get_outputs()]
        columns, takes = self.schema.of_role("feature"), footprint(self.graph)
        inputs = {column.name: INPUT_PREFIX + column.name for column in columns}

        def some(raw: Raw) -> dict[str, np.ndarray]:
            feed = graph_feed(raw, columns, inputs, LENGTHS_INPUT)
            return dict(zip(names, session.run(names, feed), strict=True))

        return lambda raw: in_blocks(raw, columns, takes, some)


def fit_features(
    plan: FeaturePlan,
    model: Choice,
    examples: Examples,
    registry: Registry,
    folder: Path,
    seed: int,
    leave_out_unread: bool = False,
    earlier: Earlier | None = None,
) -> Features:
    """Fit the plan on the training part, and write graph and arrays of every part into the folder.

    Args:
        model: its tags say what features it likes, and its settings' `word_pieces`, where they have it, whose of these it reads.
        leave_out_unread: leave out columns of which only what this model does not read is to be made.
        earlier: a run whose vocabularies are added to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tags = registry.get("models", model.name).tags
    train = examples.rows("train")
    doing("reading the training part")
    with training_part(
        examples.path,
        train,
        examples.target,
        examples.weight,
        examples.n_classes,
        seed,
        folder,
        examples.classes,
        memory=examples.memory,
    ) as context:
        word_pieces = getattr(model.settings, "word_pieces", "")
        doing("looking at the columns")
        resolved = resolve(plan, examples.schema, context, tags, registry, leave_out_unread, word_pieces)
        fitted = fit(resolved, replace(context, vocabularies=earlier.vocabularies if earlier else {}))
    if (block := fitted.spec.unread(tags)) is not None:
        raise ConfigError(
            f"features: {block.extractor} makes {block.tensor} of the column '{block.column}', which this model does not read: "
            f"it lacks the tag {READ_BY[block.tensor]}. Choose another extractor with features.columns.{block.column}, or "
            "another model; `shopkit list models` shows the tags."
        )
    parts = {part: examples.rows(part) for part in PARTS}
    transform(fitted.model, fitted.spec, examples.path, parts, folder, overrides={"train": fitted.training_overrides})
    with replacing(folder / "features.onnx") as temporary:
        temporary.write_bytes(fitted.model.SerializeToString(deterministic=True))
    for name, text in fitted.assets.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    facts = {
        "spec": fitted.spec.to_json(),
        "schema": resolved.schema.to_json(),
        "columns": fitted.description,
        "assets": sorted(fitted.assets),
        "cut": [cut.to_json() for cut in _cut(fitted, resolved, examples.path, train, folder)],
    }
    write_json(folder / VOCABULARIES, fitted.vocabularies)
    write_json(folder / "features.json", facts)
    return load_features(folder)


def _cut(fitted: FittedFeatures, plan: ResolvedPlan, path: Path, train: np.ndarray, folder: Path) -> Iterator[Cut]:
    """What limits of length do to texts and to sequences."""
    if fitted.spec.tokens is not None:
        lengths = np.asarray(load(folder, "train", "token_lengths")[:])
        if (texts := cut_texts(fitted.groups, lengths, path, train)) is not None:
            yield texts
    sequences = [column.name for column in plan.schema.of_role("feature") if column.sequence]
    if (steps := cut_sequences(sequences, plan.limit, path, train)) is not None:
        yield steps


def load_features(folder: Path) -> Features:
    """What `fit_features` left."""
    facts = read_json(folder / "features.json")
    graph, vocabularies = onnx.load(folder / "features.onnx", load_external_data=False), read_json(folder / VOCABULARIES)
    spec, schema = FeatureSpec.from_json(facts["spec"]), Schema.from_json(facts["schema"])
    return Features(graph, spec, schema, facts["columns"], folder, vocabularies, facts["assets"], facts["cut"])


@dataclass(frozen=True)
class FittedModel:
    """A fitted model or estimator, in the few words the rest of the way needs."""

    model: Model | Estimator
    scores: Callable[[FeatureArrays], np.ndarray]
    """Tensors → scores float32 (N, n_outputs)."""
    to_onnx: Callable[[], onnx.ModelProto]
    result: training.FitResult
    n_parameters: int
    """Trainable parameters; 0 where the word has no meaning."""


def fit_model(
    choice: Choice,
    registry: Registry,
    features: Features,
    examples: Examples,
    task: Task,
    trainer: TrainerSettings,
    folder: Path,
    seed: int,
    *,
    loggers: Sequence[Any] = (),
    progress: bool = False,
    earlier: Earlier | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> FittedModel:
    """Fit a chosen model, going on from what an interrupted fit left in the folder.

    Args:
        earlier: a run whose weights training starts from.
        warn: is told of what will take more than `examples.memory`, before it does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_estimator = "estimator" in registry.get(choice.family, choice.name).tags
    copies = 1 if is_estimator else n_copies(trainer)
    train, validation = (features.arrays(examples, part, copies) for part in ("train", "validation"))
    if is_estimator:

        def look_ahead(estimator: Estimator) -> None:
            if (held := estimator.holds(train, validation)) > examples.memory:
                warn(
                    f"{choice.name} will hold about {held / 1e9:,.1f} GB to be fitted on {len(train):,} rows, and memory is "
                    f"{examples.memory / 1e9:,.1f} GB. Set memory to what it may take, give it fewer rows (a baseline by "
                    "evaluation.baseline_rows), or choose a model that holds less: linear, or one that is trained by gradients "
                    "(mlp, or sasrec for histories)."
                )

        estimator: Estimator = registry.build(choice, features.spec, task)
        result = training.fit_estimator(estimator, train, validation, folder=folder, seed=seed, resume=True, before=look_ahead)
        size = result.facts.get("n_parameters", sum(values.size for values in estimator.state().values()))
        return FittedModel(estimator, estimator.scores, estimator.to_onnx, result, size)
    torch.manual_seed(seed)
    model: Model = registry.build(choice, features.spec, task.n_outputs)
    started = folder / "init_from.json"

    def initialise(model: Model) -> None:
        if earlier is not None:
            write_json(started, warm_start(model, earlier, features.vocabularies))

    result = training.fit(
        model,
        task,
        train,
        validation,
        trainer,
        loggers,
        folder=folder,
        seed=seed,
        resume=True,
        progress=progress,
        initialise=initialise,
    )
    if started.is_file():
        result = replace(result, facts={**result.facts, "init_from": read_json(started)})
    save_weights(folder / WEIGHTS, choice.name, model, features.vocabularies)
    size = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return FittedModel(model, lambda tensors: model_scores(model, tensors), lambda: to_onnx(model, features.spec), result, size)


def rebuilt_model(choice: Choice, registry: Registry, features: FeatureSpec, task: Task, weights: Path) -> FittedModel:
    """A model as it was trained, from its settings and what `save_weights` kept.

    Raises:
        RunError: the weights are those of another model, or cannot be read.
    """
    model: Model = registry.build(choice, features, task.n_outputs)
    try:
        model.load_state_dict(checkpoint.load(weights)["weights"])
    except (RuntimeError, KeyError) as error:  # torch names every parameter that does not fit
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"{weights} does not hold the weights of the model {choice.name} as it is built here: {reason}") from error
    model.eval()
    result, size = training.FitResult(), sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return FittedModel(model, lambda tensors: model_scores(model, tensors), lambda: to_onnx(model, features), result, size)


def fit_decision(task: Task, model: FittedModel, validation: Arrays) -> None:
    """Fit the task's decision to a model's scores of the validation part, made and summed up in blocks."""
    if not task.fits_decision:
        return

    task.fit_decision(_summary(task, model, validation).numpy(), validation.target, validation.weight)


def score_metrics(task: Task, model: FittedModel, validation: Arrays) -> dict[str, float]:
    """The task's metrics of a model's scores of the validation part, made and summed up in blocks."""
    target = torch.from_numpy(np.array(validation.target))
    weight = None if validation.weight is None else torch.from_numpy(np.array(validation.weight))
    return task.grouped_by(validation.groups).validation_metrics(_summary(task, model, validation), target, weight)


def _summary(task: Task, model: FittedModel, part: Arrays) -> Tensor:
    def of_block(rows: slice, features: FeatureArrays) -> Tensor:
        scores = np.asarray(model.scores(features), np.float32)
        return task.summary(torch.from_numpy(scores), torch.from_numpy(np.array(part.target[rows])))

    return torch.cat([of_block(rows, features) for rows, features in _blocks(task, part)])


def outputs_of(task: Task, scores: np.ndarray) -> dict[str, np.ndarray]:
    """The named outputs for scores (N, n_outputs), by the task's own piece of graph, without a file."""
    import ndonnx as ndx

    decided: Mapping[str, Any] = task.decide(ndx.asarray(np.asarray(scores, np.float32)))
    return {name: array.unwrap_numpy() for name, array in decided.items()}


def part_outputs(task: Task, model: FittedModel, part: Arrays) -> dict[str, np.ndarray]:
    """The same for a part of the examples, in blocks."""

    def answer(features: FeatureArrays) -> dict[str, np.ndarray]:
        return outputs_of(task, model.scores(features))

    once, blocks = "lengths" in part.features, (features for _, features in _blocks(task, part))
    found = [asked_once(take(features, slice(None)), answer) if once else answer(features) for features in blocks]
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}


def _blocks(task: Task, part: Arrays) -> Iterator[tuple[slice, FeatureArrays]]:
    """Rows whose scores fit into memory, and their features, a block at a time."""
    n_rows = block_rows(task.n_outputs)
    for start in range(0, max(1, len(part)), n_rows):
        rows = slice(start, start + n_rows)
        yield rows, part.features if len(part) <= n_rows else take(part.features, rows)
