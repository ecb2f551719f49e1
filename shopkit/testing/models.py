"""What every model promises, trained by gradients or an estimator."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch

from shopkit.errors import ConfigError, ShopkitError
from shopkit.evaluation.attributions import explainer
from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import ARRAYS, FeatureArrays, row_lengths, take
from shopkit.models.base import Arrays, Estimator, Model
from shopkit.models.to_onnx import to_onnx
from shopkit.runtime.artifact import open_session
from shopkit.tasks.base import Task
from shopkit.testing.checks import applies
from shopkit.testing.data import arrays, feature_spec, rows_of, target_of
from shopkit.testing.subject import ConformanceError, NotApplicable, Subject
from shopkit.training.batches import trimmed
from shopkit.training.scores import model_scores

TASKS = ("binary", "multiclass", "regression")
ROUNDING = 1e-4
"""Of float32 sums taken in another order."""
SHARES = 0.1
"""How far the shares of a score may miss it: the way there is walked in steps, and networks have corners."""
N_STEPS = 20
LEARNING_RATE = 3e-3


@dataclass(frozen=True)
class Fitted:
    """A model after a few steps, or a fitted estimator, in the words that both share."""

    subject: Subject
    task: Task
    spec: FeatureSpec
    train: Arrays
    model: Model | Estimator

    def __str__(self) -> str:
        return f"with {self.spec.n_dense} numbers, {self.spec.n_ids} ids and {self.task.n_outputs} outputs"

    def scores(self, features: FeatureArrays) -> np.ndarray:
        if isinstance(self.model, Estimator):
            return self.model.scores(features)
        return model_scores(self.model, features)

    def to_onnx(self) -> onnx.ModelProto:
        return self.model.to_onnx() if isinstance(self.model, Estimator) else to_onnx(self.model, self.spec)


def _tasks(subject: Subject) -> list[str]:
    asked = sorted(tag.removeprefix("task:") for tag in subject.tags if tag.startswith("task:"))
    installed = [name for name in asked or TASKS if name in subject.registry.families["tasks"]]
    if not installed:
        raise NotApplicable(f"none of the tasks {', '.join(asked or TASKS)} is installed")
    return installed


def _task(subject: Subject, name: str) -> Task:
    task: Task = subject.registry.build(subject.registry.choice("tasks", name))
    return task


def _prepared(subject: Subject, task_name: str, spec: FeatureSpec | None = None) -> tuple[Task, FeatureSpec, Arrays]:
    task = _task(subject, task_name)
    spec = spec or feature_spec(reads=subject.tags, n_classes=_n_classes(subject, task))
    return task, spec, arrays(subject, spec, task)


def _n_classes(subject: Subject, task: Task) -> int:
    """Classes of the target that a model with the tag `features:catalogue` finds in its histories, else 0."""
    if "features:catalogue" not in subject.tags:
        return 0
    target_of(subject, task)
    return task.n_outputs


def _built(subject: Subject, task: Task, spec: FeatureSpec) -> Model:
    torch.manual_seed(subject.seed)
    model: Model = subject.build(spec, task.n_outputs)
    model.start_from(torch.from_numpy(np.asarray(task.initial_bias(), np.float32)))
    return model


def _fitted(subject: Subject, task_name: str, spec: FeatureSpec | None = None) -> Fitted:
    task, spec, train = _prepared(subject, task_name, spec)
    if "estimator" in subject.tags:
        estimator: Estimator = subject.build(spec, task)
        estimator.fit(rows_of(train, slice(0, 300)), rows_of(train, slice(300, None)), subject.seed)
        return Fitted(subject, task, spec, train, estimator)
    model = _built(subject, task, spec)
    _steps(model, task, train, 3)
    return Fitted(subject, task, spec, train, model.eval())


def _each(subject: Subject) -> Iterator[Fitted]:
    for name in _tasks(subject):
        yield _fitted(subject, name)


def _steps(model: Model, task: Task, train: Arrays, n_steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameter_groups(LEARNING_RATE, 0.0))
    batch, target = train.tensors(), torch.from_numpy(train.target)
    model.train()
    for _ in range(n_steps):
        optimizer.zero_grad()
        model.training_loss(batch, target, None, task).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _loss(task: Task, scores: np.ndarray, target: np.ndarray) -> float:
    return float(task.loss(torch.from_numpy(scores), torch.from_numpy(target), None))


def check_models_scores_have_the_stated_shape(subject: Subject) -> None:
    """Scores are float32 (N, n_outputs), finite, and the same when asked again."""
    for fitted in _each(subject):
        scores = fitted.scores(fitted.train.features)
        shape = (len(fitted.train), fitted.task.n_outputs)
        subject.require(
            scores.shape == shape and scores.dtype == np.float32,
            f"scores must be float32 {shape} {fitted}; they are {scores.dtype} {scores.shape}.",
        )
        subject.require(bool(np.isfinite(scores).all()), f"scores are NaN or infinite {fitted}.")
        subject.require_equal(fitted.scores(fitted.train.features), scores, f"scores must be the same when asked again {fitted}")


def check_models_batch_of_one(subject: Subject) -> None:
    """One row is answered as it is among many."""
    for fitted in _each(subject):
        whole = fitted.scores(fitted.train.features)
        one = fitted.scores(rows_of(fitted.train, slice(0, 1)).features)
        subject.require_equal(one, whole[:1], f"a batch of one must give the scores it has among many {fitted}", ROUNDING)


def check_models_rows_do_not_mix(subject: Subject) -> None:
    """A row's scores do not depend on the other rows of its batch, nor on its place among them."""
    for fitted in _each(subject):
        whole = fitted.scores(fitted.train.features)
        part = rows_of(fitted.train, slice(20, 50))
        law = f"a row's scores must not depend on the other rows of its batch {fitted}"
        subject.require_equal(fitted.scores(part.features), whole[20:50], law, ROUNDING)
        turned = {name: values[::-1].copy() for name, values in fitted.train.features.items()}
        law = f"a turned batch must give turned scores {fitted}"
        subject.require_equal(fitted.scores(turned), whole[::-1], law, ROUNDING)


def check_models_take_any_features(subject: Subject) -> None:
    """A model works with numbers only and with ids only (a tensor of width 0 is left out), or refuses with a clear error."""
    for dense, ids in ((True, False), (False, True)):
        try:
            name = _tasks(subject)[0]
            n_classes = _n_classes(subject, _task(subject, name))
            fitted = _fitted(subject, name, feature_spec(dense, ids, subject.tags, n_classes))
        except ConformanceError:
            raise
        except ShopkitError:
            continue
        scores = fitted.scores(fitted.train.features)
        subject.require(bool(np.isfinite(scores).all()), f"scores are NaN or infinite {fitted}.")
        session = open_session(fitted.to_onnx().SerializeToString())
        feed = {value.name: fitted.train.features[value.name] for value in session.get_inputs()}
        (answer,) = session.run(["scores"], feed)
        subject.require_equal(answer, scores, f"the graph must give the model's scores {fitted}", ROUNDING)


def check_models_export_parity(subject: Subject) -> None:
    """The ONNX graph gives the model's scores, for one row and for many, from inputs `dense` and `ids` and with standard
    operators."""
    for fitted in _each(subject) if "estimator" in subject.tags else [_fitted(subject, _tasks(subject)[-1])]:
        model = fitted.to_onnx()
        custom = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx", "ai.onnx.ml"})
        own = {function.domain for function in model.functions}
        subject.require(set(custom) <= own, f"the graph uses operators outside the ONNX standard: {', '.join(custom)}.")
        session = open_session(model.SerializeToString())
        names = [value.name for value in session.get_inputs()]
        subject.require(
            set(names) <= set(fitted.train.features),
            f"the graph's inputs must be among {', '.join(fitted.train.features)}; they are {names}.",
        )
        outputs = [value.name for value in session.get_outputs()]
        subject.require(outputs == ["scores"], f"the graph's only output must be `scores`; it has {outputs}.")
        for n_rows in (1, 2, 257):
            features = rows_of(fitted.train, slice(0, n_rows)).features
            (answer,) = session.run(["scores"], {name: features[name] for name in names})
            law = f"the graph must give the model's scores for {n_rows} rows {fitted}"
            subject.require_equal(answer, fitted.scores(features), law, ROUNDING)


def check_models_padding_changes_nothing(subject: Subject) -> None:
    """Padding, little or much, changes no score of a model that reads sequences, texts or bags: neither the model's nor the
    graph's, also of rows without any step."""
    fitted = _fitted(subject, _tasks(subject)[0])
    features = fitted.train.features
    varied = [name for name in features if ARRAYS[name].varies]
    if not varied:
        return
    scores = fitted.scores(features)
    session = open_session(fitted.to_onnx().SerializeToString())
    for n_more in (1, 9):
        more = {**features, **{name: _longer(features[name], n_more) for name in varied}}
        law = f"{n_more} more steps of padding must change no score {fitted}"
        subject.require_equal(fitted.scores(more), scores, law, ROUNDING)
        feed = {value.name: more[value.name] for value in session.get_inputs()}
        subject.require_equal(session.run(["scores"], feed)[0], scores, f"{law}, through the graph", ROUNDING)
    empty = np.flatnonzero(row_lengths(features) == 0)[:1]
    alone = trimmed({name: values[empty] for name, values in features.items()})
    subject.require_equal(fitted.scores(alone), scores[empty], f"a row without steps must be answered {fitted}", ROUNDING)


def _longer(values: np.ndarray, n_more: int) -> np.ndarray:
    return np.pad(values, [(0, 0), (0, n_more), *[(0, 0)] * (values.ndim - 2)])


@applies(without="estimator")
def check_models_gradient_steps_lower_the_loss(subject: Subject) -> None:
    """A few small gradient steps lower the loss on the rows they are taken on, and every gradient is finite."""
    for name in _tasks(subject):
        task, spec, train = _prepared(subject, name)
        model = _built(subject, task, spec)
        before = _loss(task, model_scores(model, train.features), train.target)
        _steps(model, task, train, N_STEPS)
        bad = [n for n, p in model.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
        subject.require(not bad, f"the gradient of {', '.join(bad[:3])} is NaN or infinite with task {name}.")
        after = _loss(task, model_scores(model, train.features), train.target)
        subject.require(
            after < before,
            f"{N_STEPS} small gradient steps must lower the loss with task {name}; it went from {before:.6g} to {after:.6g}.",
        )


@applies(without="estimator")
def check_models_training_scores_fit_the_loss(subject: Subject) -> None:
    """While training, scores are (batch, n_outputs), or (batch, members, n_outputs) for an ensemble."""
    task, spec, train = _prepared(subject, _tasks(subject)[0])
    model = _built(subject, task, spec).train()
    shape = tuple(model(train.tensors()).shape)
    n_rows, n_outputs = len(train), task.n_outputs
    subject.require(
        len(shape) in (2, 3) and (shape[0], shape[-1]) == (n_rows, n_outputs),
        f"training scores must be ({n_rows}, {n_outputs}) or ({n_rows}, members, {n_outputs}); they are {shape}.",
    )


@applies(without="estimator")
def check_models_move_between_types_and_devices(subject: Subject) -> None:
    """`.double()` computes in float64, and a GPU, where there is one, gives the CPU's scores."""
    fitted = _fitted(subject, _tasks(subject)[0])
    assert isinstance(fitted.model, Model)
    expected, batch = fitted.scores(fitted.train.features), fitted.train.tensors()
    doubled = copy.deepcopy(fitted.model).double()
    with torch.no_grad():
        scores = doubled({name: values.double() if values.is_floating_point() else values for name, values in batch.items()})
    subject.require(scores.dtype == torch.float64, f"after `.double()` scores must be float64; they are {scores.dtype}.")
    law = "float64 scores must agree with the float32 ones"
    subject.require_equal(scores.float().numpy(), expected, law, ROUNDING)
    if torch.cuda.is_available():
        there = copy.deepcopy(fitted.model).cuda()
        with torch.no_grad():
            scores = there({name: values.cuda() for name, values in batch.items()})
        subject.require_equal(scores.cpu().numpy(), expected, "scores on the GPU must agree with the CPU's", 1e-3)


@applies(without="estimator")
def check_models_state_round_trip(subject: Subject) -> None:
    """The `state_dict`, saved and read as plain tensors, makes a new model of the same settings answer alike."""
    fitted = _fitted(subject, _tasks(subject)[0])
    assert isinstance(fitted.model, Model)
    stream = io.BytesIO()
    torch.save(fitted.model.state_dict(), stream)
    stream.seek(0)
    torch.manual_seed(subject.seed + 1)
    other: Model = subject.build(fitted.spec, fitted.task.n_outputs)
    other.load_state_dict(torch.load(stream, weights_only=True))
    law = "a new model with the same `state_dict` must give the same scores"
    subject.require_equal(model_scores(other, fitted.train.features), fitted.scores(fitted.train.features), law)


@applies("estimator")
def check_estimators_learn(subject: Subject) -> None:
    """A fitted estimator has a lower training loss than the best constant, and `fit` returns plain facts for the report."""
    for name in _tasks(subject):
        task, spec, train = _prepared(subject, name)
        estimator: Estimator = subject.build(spec, task)
        facts = estimator.fit(train, rows_of(train, slice(0, 100)), subject.seed)
        _require_plain(subject, facts)
        constant = np.tile(np.asarray(task.initial_bias(), np.float32), (len(train), 1))
        best, got = _loss(task, constant, train.target), _loss(task, estimator.scores(train.features), train.target)
        subject.require(
            got < best, f"its training loss with task {name} is {got:.6g}, not below {best:.6g} of the best constant."
        )


@applies("estimator")
def check_estimators_count_weights(subject: Subject) -> None:
    """Rows count by their weights, or `fit` refuses weights with a `ConfigError`: they are never passed over in silence."""
    task, spec, train = _prepared(subject, _tasks(subject)[0])
    scores = []
    for weight in (np.ones(len(train), np.float32), (np.arange(len(train)) % 2).astype(np.float32)):
        estimator: Estimator = subject.build(spec, task)
        weighted = replace(train, weight=weight)
        try:
            estimator.fit(weighted, rows_of(weighted, slice(0, 100)), subject.seed)
        except ConfigError:
            return
        scores.append(estimator.scores(train.features))
    law = "rows must count by their weights, or `fit` refuse them: with every other row at 0 it learns the same."
    subject.require(not np.array_equal(scores[0], scores[1]), law)


def _require_plain(subject: Subject, facts: object) -> None:
    try:
        plain = isinstance(facts, dict) and json.loads(json.dumps(facts)) == facts
    except (TypeError, ValueError):
        plain = False
    subject.require(plain, f"`fit` must return a dict of plain JSON data; it returned {facts!r:.200}.")


@applies("estimator")
def check_estimators_state_round_trip(subject: Subject) -> None:
    """`state` holds plain arrays, and a new estimator that is given them by `load_state` answers and exports alike."""
    for fitted in _each(subject):
        assert isinstance(fitted.model, Estimator)
        state = fitted.model.state()
        odd = [key for key, values in state.items() if not isinstance(values, np.ndarray) or values.dtype == object]
        subject.require(not odd, f"`state` must hold plain arrays, as it is stored without a pickle; {', '.join(odd)} are not.")
        stream = io.BytesIO()
        np.savez(stream, **state)  # type: ignore[arg-type]
        stream.seek(0)
        other: Estimator = subject.build(fitted.spec, fitted.task)
        with np.load(stream, allow_pickle=False) as stored:
            other.load_state(dict(stored))
        law = f"a new estimator with the same state must give the same scores {fitted}"
        subject.require_equal(other.scores(fitted.train.features), fitted.scores(fitted.train.features), law)
        same = other.to_onnx().SerializeToString(deterministic=True) == fitted.to_onnx().SerializeToString(deterministic=True)
        subject.require(same, f"a new estimator with the same state must export the same bytes {fitted}.")


def check_models_are_deterministic(subject: Subject) -> None:
    """The same rows and seed give the same scores to the last bit."""
    first, second = (_fitted(subject, _tasks(subject)[0]) for _ in range(2))
    law = "fitting twice with one seed must give the same scores"
    subject.require_equal(second.scores(first.train.features), first.scores(first.train.features), law)


def check_models_shares_add_up(subject: Subject) -> None:
    """What each place of a row adds to its score comes to the whole difference from an empty row: all that the score hangs on
    goes through a model's `entries`, and an estimator's `contributions` are its terms."""
    fitted = _fitted(subject, _tasks(subject)[0])
    rows = take(fitted.train.features, slice(0, 4))
    empty = {name: np.zeros_like(values) for name, values in rows.items() if "lengths" not in name and name != "bag_ids"}
    direction = np.zeros((len(next(iter(rows.values()))), fitted.task.n_outputs))
    direction[:, 0] = 1
    found = explainer(fitted.model)[1](rows, empty, direction)
    if found is None or not found.places:
        raise NotApplicable("it does not say what its scores are made of")
    missed = float((found.gap / np.maximum(np.abs(found.score - found.reference), 1)).max())
    subject.require(
        missed < SHARES, f"the shares of a score must add up to its difference from an empty row; they miss {missed:.0%} of it."
    )
