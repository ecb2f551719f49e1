"""What every task promises."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ndonnx as ndx
import numpy as np
import spox
import torch
from torch import Tensor

from shopkit.runtime.artifact import open_session
from shopkit.tasks.base import Task
from shopkit.testing.checks import refused
from shopkit.testing.data import N_ROWS, groups_of, target_of
from shopkit.testing.subject import NotApplicable, Subject, as_objects

ROUNDING = 1e-5
DTYPES = {"float32": np.dtype("float32"), "int64": np.dtype("int64"), "bool": np.dtype("bool"), "string": np.dtype(object)}
Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Decided:
    """A task fitted on a target and on scores that know something of it."""

    task: Task
    raw: np.ndarray
    target: np.ndarray
    """(N,) as the task encodes it."""
    scores: np.ndarray
    """(N, n_outputs) float32."""

    def outputs(self, scores: np.ndarray | None = None) -> Outputs:
        return _decide(self.task, self.scores if scores is None else scores)


def _decide(task: Task, scores: np.ndarray) -> Outputs:
    return {name: array.unwrap_numpy() for name, array in task.decide(ndx.asarray(scores)).items()}


def _fitted(subject: Subject) -> tuple[Task, np.ndarray, np.ndarray]:
    task = subject.build().grouped_by(groups_of(N_ROWS))
    raw = target_of(subject, task)
    return task, raw, task.encode(raw)


def _decided(subject: Subject) -> Decided:
    task, raw, target = _fitted(subject)
    scores = _descend(task, target, 30)[0] + subject.rng.normal(size=(N_ROWS, task.n_outputs)).astype(np.float32)
    scores = np.asarray(scores, np.float32)
    task.fit_decision(_summary(task, scores, target).numpy(), target, None)
    return Decided(task, raw, target, scores)


def _summary(task: Task, scores: np.ndarray, target: np.ndarray) -> Tensor:
    return task.summary(torch.from_numpy(scores), torch.from_numpy(target))


def _start(task: Task, n_rows: int) -> Tensor:
    return torch.from_numpy(np.tile(np.asarray(task.initial_bias(), np.float32), (n_rows, 1)))


def _descend(task: Task, target: np.ndarray, n_steps: int) -> tuple[np.ndarray, list[float]]:
    """Scores of their own for every row, moved down the loss: (N, n_outputs), and the loss before each step and at the end."""
    scores, truth = _start(task, len(target)).requires_grad_(), torch.from_numpy(target)
    optimizer = torch.optim.Adam([scores], lr=0.05)
    losses = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = task.loss(scores, truth, None)
        losses.append(float(loss.detach()))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return scores.detach().numpy(), [*losses, float(task.loss(scores.detach(), truth, None))]


def check_tasks_loss_is_finite_and_falls(subject: Subject) -> None:
    """The loss is a finite scalar that falls when scores follow its gradient."""
    task, _, target = _fitted(subject)
    shape = tuple(task.loss(_start(task, len(target)), torch.from_numpy(target), None).shape)
    subject.require(shape == (), f"the loss must be a scalar; its shape is {shape}.")
    _, losses = _descend(task, target, 20)
    subject.require(all(map(math.isfinite, losses)), f"the loss must be finite; it was {losses!r:.120}.")
    subject.require(
        losses[-1] < losses[0],
        f"the loss must fall when scores follow its gradient; it went from {losses[0]:.6g} to {losses[-1]:.6g}.",
    )


def check_tasks_loss_averages_members(subject: Subject) -> None:
    """The loss of an ensemble's scores (N, members, n_outputs) is the mean of its members' losses, weighted rows included."""
    task, _, target = _fitted(subject)
    truth, scores = torch.from_numpy(target), _start(task, len(target))
    members = torch.stack([scores, scores + 0.5, scores - 0.25], dim=1)
    weight = torch.from_numpy(subject.rng.uniform(0.5, 2, len(target)).astype(np.float32))
    for name, given in (("without weights", None), ("with weights", weight)):
        together = float(task.loss(members, truth, given))
        alone = float(np.mean([float(task.loss(members[:, i], truth, given)) for i in range(3)]))
        subject.require(
            math.isclose(together, alone, rel_tol=ROUNDING, abs_tol=ROUNDING),
            f"the loss of three members {name} must be the mean of their losses, {alone:.6g}; it is {together:.6g}.",
        )


def check_tasks_initial_bias_is_a_good_start(subject: Subject) -> None:
    """`initial_bias` is float32 (n_outputs,), finite, and no worse a constant than zero."""
    task, _, target = _fitted(subject)
    bias = task.initial_bias()
    subject.require(
        bias.shape == (task.n_outputs,) and bias.dtype == np.float32 and bool(np.isfinite(bias).all()),
        f"`initial_bias` must be finite float32 ({task.n_outputs},); it is {bias.dtype} {bias.shape} {bias!r:.80}.",
    )
    start, truth = _start(task, len(target)), torch.from_numpy(target)
    at_bias, at_zero = float(task.loss(start, truth, None)), float(task.loss(torch.zeros_like(start), truth, None))
    subject.require(
        at_bias <= at_zero + ROUNDING, f"the loss at `initial_bias` is {at_bias:.6g}, above {at_zero:.6g} of all scores zero."
    )


def check_tasks_weights_are_respected(subject: Subject) -> None:
    """A row of weight 2 counts as two rows and one of weight 0 as none: in the loss, `validation_metrics`, `metrics` and
    `statistics`. A task that measures within groups takes whole groups so."""
    case = _decided(subject)
    task, counts, groups = case.task, subject.rng.integers(0, 3, N_ROWS), groups_of(N_ROWS)
    if task.grouped_by(groups) is not task:
        counts = counts[groups]
    times = np.repeat(np.arange(N_ROWS), counts)
    copies = np.concatenate([np.arange(count) for count in counts])
    on_copies = task.grouped_by(groups[times] + N_ROWS * copies)
    outputs, weight = case.outputs(), counts.astype(np.float32)
    repeated: Outputs = {name: values[times] for name, values in outputs.items()}
    scores, truth = torch.from_numpy(case.scores), torch.from_numpy(case.target)
    metrics = on_copies.metrics(repeated, case.target[times])
    pairs: dict[str, tuple[Mapping[str, float], Mapping[str, float]]] = {
        "loss": (
            {"loss": float(task.loss(scores, truth, torch.from_numpy(weight)))},
            {"loss": float(task.loss(scores[times], truth[times], None))},
        ),
        "validation_metrics": (
            task.validation_metrics(task.summary(scores, truth), truth, torch.from_numpy(weight)),
            on_copies.validation_metrics(task.summary(scores[times], truth[times]), truth[times], None),
        ),
        "metrics": (task.metrics(outputs, case.target, weight), metrics),
        "statistics": (task.statistics(outputs, case.target)(weight.astype(np.float64)), metrics),
    }
    for what, (weighted, expected) in pairs.items():
        subject.require(
            weighted.keys() == expected.keys(), f"`{what}` gives {sorted(weighted)} with weights, {sorted(expected)} without."
        )
        for name, value in expected.items():
            subject.require(
                _close(weighted[name], value, 1e-4),
                f"`{what}`: a row of weight 2 must count as two rows, but {name} is {weighted[name]:.6g} with weights "
                f"and {value:.6g} with the rows repeated.",
            )


def check_tasks_monitor_is_measured(subject: Subject) -> None:
    """`monitor` names one of `validation_metrics`, and its mode is `min` or `max` as better scores make it."""
    case = _decided(subject)
    task, truth = case.task, torch.from_numpy(case.target)
    found = task.validation_metrics(_summary(task, case.scores, case.target), truth, None)
    name, mode = task.monitor.name, task.monitor.mode
    subject.require(name in found, f"`monitor` names '{name}', which `validation_metrics` does not give: {', '.join(found)}.")
    odd = [key for key, value in found.items() if not isinstance(value, float) or math.isinf(value)]
    subject.require(not odd, f"`validation_metrics` must give finite floats; {', '.join(odd)} are not.")
    subject.require(mode in ("min", "max"), f"`monitor.mode` must be 'min' or 'max'; it is {mode!r}.")
    better = _summary(task, _descend(task, case.target, 100)[0], case.target)
    low, high = found[name], task.validation_metrics(better, truth, None)[name]
    subject.require(
        high <= low if mode == "min" else high >= low,
        f"`monitor.mode` is '{mode}', but better scores move {name} from {low:.6g} to {high:.6g}.",
    )


def check_tasks_outputs_are_as_stated(subject: Subject) -> None:
    """`decide` and `constant_outputs` give the outputs that `outputs` states: names in order, types, shapes, a meaning each."""
    case = _decided(subject)
    given = {"decide": (case.outputs(), N_ROWS), "constant_outputs": (case.task.constant_outputs(7), 7)}
    stated = case.task.outputs
    for what, (outputs, n_rows) in given.items():
        names = [output.name for output in stated]
        subject.require(list(outputs) == names, f"`{what}` gives the outputs {list(outputs)}, `outputs` states {names}.")
        for output in stated:
            values = outputs[output.name]
            kind = np.dtype(object) if values.dtype.kind in "OUT" else values.dtype
            subject.require(
                kind == DTYPES[output.dtype],
                f"`{what}` gives '{output.name}' as {values.dtype}, `outputs` states {output.dtype}.",
            )
            one = "one value for each row"
            ranks_fit = values.ndim == (2 if output.classes or output.per else 1)
            subject.require(
                len(values) == n_rows and ranks_fit and (not output.classes or values.shape[1] == len(output.classes)),
                f"`{what}` gives '{output.name}' of shape {values.shape} for {n_rows} rows; `outputs` states "
                f"{f'{len(output.classes)} classes' if output.classes else f'values per {output.per}' if output.per else one}.",
            )
    for output in stated:
        subject.require(bool(output.meaning.strip()), f"the output '{output.name}' has no `meaning` for the report.")


def check_tasks_decision_graph_equals_numpy(subject: Subject) -> None:
    """`decide`, traced and run as a graph, gives for one row, many and none what it gives for plain arrays, row by row."""
    case = _decided(subject)
    scores = spox.argument(spox.Tensor(np.float32, ("N", case.task.n_outputs)))
    traced = case.task.decide(ndx.asarray(scores))
    model = spox.build({"given": scores}, {name: array.unwrap_spox() for name, array in traced.items()})
    session = open_session(model.SerializeToString())
    names, whole = list(traced), case.outputs()
    for n_rows in (N_ROWS, 1, 0):
        answers = dict(zip(names, session.run(names, {"given": case.scores[:n_rows]}), strict=True))
        for name in names:
            law = f"the graph of `decide` must give '{name}' of {n_rows} rows as plain arrays do"
            subject.require_equal(as_objects(answers[name]), as_objects(whole[name][:n_rows]), law, ROUNDING)


def check_tasks_state_is_plain_json(subject: Subject) -> None:
    """`state` is plain JSON data, and all that is remembered: another task given it encodes and decides alike."""
    case = _decided(subject)
    try:
        stored = json.loads(json.dumps(case.task.state, allow_nan=False))
    except (TypeError, ValueError) as error:
        subject.fail(f"`state` must be plain JSON data: {error}.")
    subject.require(
        stored == case.task.state, f"`state` must be plain JSON data; it comes back changed: {case.task.state!r:.200}"
    )
    other: Task = subject.build()
    other.state = stored
    law = "another task with the same state must encode alike"
    subject.require_equal(other.encode(case.raw), case.target, law)
    expected = case.outputs()
    for name, values in _decide(other, case.scores).items():
        law = f"another task with the same state must decide '{name}' alike"
        subject.require_equal(as_objects(values), as_objects(expected[name]), law)


def check_tasks_metrics_are_described(subject: Subject) -> None:
    """Every metric has a title, a direction and a meaning in `described`, and the trivial baseline gives the same metrics."""
    case = _decided(subject)
    found = case.task.metrics(case.outputs(), case.target)
    bare = [name for name in found if name not in case.task.described]
    subject.require(not bare, f"the metrics {', '.join(bare)} are not in `described`, so a report cannot print them.")
    trivial = case.task.metrics(case.task.constant_outputs(N_ROWS), case.target)
    subject.require(list(trivial) == list(found), f"the trivial baseline gives {list(trivial)}, other outputs {list(found)}.")
    odd = [name for name, value in {**found, **trivial}.items() if not isinstance(value, float) or math.isinf(value)]
    subject.require(not odd, f"metrics must be floats, NaN where undefined; {', '.join(odd)} are not.")


def check_tasks_metrics_agree_with_scikit_learn(subject: Subject) -> None:
    """Metrics that scikit-learn has, by the names it has them under, are equal to its own."""
    if importlib.util.find_spec("sklearn") is None:
        raise NotApplicable("scikit-learn is not installed")
    case = _decided(subject)
    outputs = case.outputs()
    references = _scikit_learn(case, outputs)
    found = case.task.metrics(outputs, case.target)
    common = [name for name in found if name in references]
    if not common:
        raise NotApplicable(f"scikit-learn has none of its metrics ({', '.join(found)})")
    for name in common:
        expected = float(references[name]())
        subject.require(_close(found[name], expected, 1e-4), f"{name} is {found[name]:.7g}, and {expected:.7g} by scikit-learn.")


def _scikit_learn(case: Decided, outputs: Outputs) -> dict[str, Callable[[], Any]]:
    """Metric → scikit-learn's value, by the outputs that a task of its kind has."""
    from sklearn import metrics as sk

    truth = case.target
    if "prediction" in outputs:
        prediction = outputs["prediction"].astype(np.float64)
        return {
            "mae": lambda: sk.mean_absolute_error(truth, prediction),
            "rmse": lambda: sk.root_mean_squared_error(truth, prediction),
            "r2": lambda: sk.r2_score(truth, prediction),
        }
    if not {"probability", "label"} <= outputs.keys():
        return {}
    probability, label = outputs["probability"].astype(np.float64), case.task.encode(outputs["label"])
    if probability.ndim == 2:
        probability /= probability.sum(axis=1, keepdims=True)
        return {
            "accuracy": lambda: sk.accuracy_score(truth, label),
            "f1_macro": lambda: sk.f1_score(truth, label, average="macro"),
            "precision_macro": lambda: sk.precision_score(truth, label, average="macro"),
            "recall_macro": lambda: sk.recall_score(truth, label, average="macro"),
            "auroc_macro": lambda: sk.roc_auc_score(truth, probability, average="macro", multi_class="ovr"),
            "log_loss": lambda: sk.log_loss(truth, probability),
        }
    return {
        "auroc": lambda: sk.roc_auc_score(truth, probability),
        "average_precision": lambda: sk.average_precision_score(truth, probability),
        "log_loss": lambda: sk.log_loss(truth, probability),
        "brier": lambda: sk.brier_score_loss(truth, probability),
        "accuracy": lambda: sk.accuracy_score(truth, label),
        "precision": lambda: sk.precision_score(truth, label),
        "recall": lambda: sk.recall_score(truth, label),
        "f1": lambda: sk.f1_score(truth, label),
    }


def check_tasks_refuse_a_constant_target(subject: Subject) -> None:
    """A target that is the same in every row is refused, with a message that says so."""
    _, raw, _ = _fitted(subject)
    other: Task = subject.build()
    refused(subject, lambda: other.fit_target(raw[:1].repeat(20)), "a target with one value in all rows")


def _close(got: float, expected: float, tolerance: float) -> bool:
    return math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance) or (math.isnan(got) and math.isnan(expected))
