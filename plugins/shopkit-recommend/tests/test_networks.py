"""The networks: what they learn, and that their graphs answer alike at any number of rows and steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.tensors import Ragged
from shopkit.models.base import Arrays, Model
from shopkit.models.to_onnx import to_onnx
from shopkit.runtime.artifact import open_session
from shopkit.training.fit import fit
from shopkit.training.settings import TrainerSettings
from small import problem

from shopkit_recommend.models.gru4rec import GRU4Rec
from shopkit_recommend.models.histories import attributes_of_items
from shopkit_recommend.models.mf import MF
from shopkit_recommend.models.network import BEGINNERS, Network
from shopkit_recommend.models.network_settings import (
    ALSSettings,
    BlendSettings,
    GRU4RecSettings,
    LossSettings,
    MFSettings,
    SASRecSettings,
    TwoTowerSettings,
)
from shopkit_recommend.models.sasrec import SASRec
from shopkit_recommend.models.seen import SEEN
from shopkit_recommend.models.settings import SessionKnnSettings
from shopkit_recommend.models.two_tower import TwoTower
from shopkit_recommend.tasks.next_item import NextItem
from shopkit_recommend.tasks.settings import NextItemSettings

N_ITEMS = 30
HISTORY = FeatureBlock("history", "catalogue", "sequence_ids", 0, 1, ("history",), N_ITEMS + 2)
RICH = FeatureSpec(
    (
        HISTORY,
        FeatureBlock("category", "vocabulary", "sequence_ids", 1, 1, ("category",), 7),
        FeatureBlock("days", "identity", "sequence_dense", 0, 1, ("days",)),
        FeatureBlock("price", "log1p", "sequence_dense", 1, 1, ("price",)),
        FeatureBlock("age", "standardize", "dense", 0, 1, ("age",)),
        FeatureBlock("city", "vocabulary", "ids", 0, 1, ("city",), 5),
    )
)
PLAIN = FeatureSpec((HISTORY,))
KINDS = {
    "sasrec": (SASRec, SASRecSettings(dim=16, dropout=0.1)),
    "sasrec_relative": (SASRec, SASRecSettings(dim=16, dropout=0.1, position="relative", blocks=1)),
    "sasrec_cosine": (SASRec, SASRecSettings(dim=16, dropout=0.1, cosine_scale=8.0, position="none")),
    "sasrec_graph": (SASRec, SASRecSettings(dim=16, dropout=0.1, cosine_scale=8.0, graph_neighbours=3)),
    "gru4rec": (GRU4Rec, GRU4RecSettings(dim=16, hidden_dim=24, dropout=0.1)),
    "two_tower": (TwoTower, TwoTowerSettings(dim=16, hidden=[24], dropout=0.1)),
    "mf": (MF, MFSettings(dim=16, dropout=0.1)),
}


def batch(spec: FeatureSpec, n_rows: int = 60, seed: int = 0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Histories in which item i is followed by i + 1, some of them empty, and what comes next."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, n_rows)
    inside = (np.arange(9) < lengths[:, None])[:, :, None]
    items = (rng.integers(0, N_ITEMS, n_rows)[:, None] + np.arange(10)) % N_ITEMS
    ids = items[:, :9, None] + 2
    found = {"lengths": lengths}
    if spec is RICH:
        ids = np.concatenate([ids, items[:, :9, None] % 5 + 2], axis=2)
        numbers = np.stack([np.arange(9)[::-1] + np.zeros((n_rows, 1)), rng.normal(size=(n_rows, 9))], 2)
        found |= {
            "sequence_dense": (numbers * inside).astype(np.float32),
            "dense": rng.normal(size=(n_rows, 1)).astype(np.float32),
        }
        found |= {"ids": rng.integers(0, 5, (n_rows, 1))}
    target = items[np.arange(n_rows), lengths]
    return {name: torch.from_numpy(values) for name, values in {"sequence_ids": ids * inside, **found}.items()}, torch.from_numpy(
        target
    )


def histories(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    """Of items by their class, -1 an unknown one, -2 a missing one."""
    ids = torch.zeros(len(rows), max(map(len, rows)), 1, dtype=torch.long)
    for row, items in enumerate(rows):
        ids[row, : len(items), 0] = torch.tensor(items, dtype=torch.long) + 2
    return {"sequence_ids": ids, "lengths": torch.tensor([len(items) for items in rows])}


def trained(name: str, spec: FeatureSpec, n_steps: int = 80, **changes: object) -> Model:
    kind, settings = KINDS[name]
    torch.manual_seed(0)
    model = kind(replace(settings, **changes), spec, N_ITEMS)
    features, target = batch(spec)
    first = Arrays({name: values.numpy() for name, values in features.items()}, target.numpy())
    model.prepare(first, first, None, 0)
    optimizer = torch.optim.AdamW(model.parameter_groups(1e-2, 0.0))
    for step in range(n_steps):
        features, target = batch(spec, seed=step)
        optimizer.zero_grad()
        model.training_loss(features, target, None, None).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize(
    ("name", "spec"),
    [(name, PLAIN) for name in ("sasrec", "sasrec_cosine", "sasrec_graph", "mf")]
    + [(name, RICH) for name in ("sasrec_relative", "two_tower", "gru4rec")],
)
@torch.no_grad()
def test_a_network_learns_and_its_graph_answers_alike(name: str, spec: FeatureSpec) -> None:
    with torch.enable_grad():
        model = trained(name, spec)
    features, target = batch(spec, seed=1000)
    scores = model(features)
    some = features["lengths"] > 0
    assert (scores.argmax(1) == target)[some].float().mean() > 0.8
    session = open_session(to_onnx(model, spec).SerializeToString())
    names = [value.name for value in session.get_inputs()]

    def answer(rows: slice, width: int) -> np.ndarray:
        longer = {
            name: torch.nn.functional.pad(values, (0, 0, 0, 4))[:, :width] if values.ndim == 3 else values
            for name, values in features.items()
        }
        return np.asarray(session.run(["scores"], {name: longer[name][rows].numpy() for name in names})[0])

    np.testing.assert_allclose(answer(slice(None), 9), scores.numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(answer(slice(None), 13), scores.numpy(), atol=1e-4, rtol=1e-4)
    for row in (0, 1, int((features["lengths"] == 0).nonzero()[0])):
        one = answer(slice(row, row + 1), max(1, int(features["lengths"][row])))
        np.testing.assert_allclose(one, scores[row : row + 1].numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_what_was_seen_is_not_recommended_unless_asked(name: str) -> None:
    with torch.enable_grad():
        masked, repeating = (trained(name, PLAIN, 2, exclude_seen=exclude) for exclude in (True, False))
    features, _ = batch(PLAIN)
    seen = features["sequence_ids"][:, :, 0]
    for row in range(len(seen)):
        items = seen[row][seen[row] > 1] - 2
        assert (masked(features)[row, items] == np.float32(SEEN)).all()
        assert (repeating(features)[row] > -1e6).all()


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_unknown_items_are_no_steps(name: str) -> None:
    """Of which [x, unknown] is answered as [x], and [unknown] as no history: by the model and by its graph."""
    with torch.enable_grad():
        model = trained(name, PLAIN, 20, exclude_seen=False)
    told = histories([[7, 4], [7, 4], [7, 4], [7, 4], [], [], [9]])
    asked = histories([[7, 4], [7, 4, -1], [-1, 7, -1, -1, 4], [-2, 7, 4, -2, -1], [], [-1, -1], [9, -1]])
    expected = model(told)
    torch.testing.assert_close(model(asked), expected)
    session = open_session(to_onnx(model, PLAIN).SerializeToString())
    (answer,) = session.run(["scores"], {value.name: asked[value.name].numpy() for value in session.get_inputs()})
    np.testing.assert_allclose(answer, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "two_tower", "mf"])
@torch.no_grad()
def test_unknown_items_are_told_apart_by_their_attributes_alone(name: str) -> None:
    with torch.enable_grad():
        model = trained(name, RICH, 20, exclude_seen=False)
    features, _ = batch(RICH, 3)
    features["lengths"][:] = 2
    new = [features["sequence_ids"].clone() for _ in range(2)]
    for ids, category in zip(new, (2, 5), strict=True):
        ids[:, 1, 0], ids[:, 1, 1] = 1, category
    first, second = (model({**features, "sequence_ids": ids}) for ids in new)
    assert (first - second).abs().max() > 1e-3
    model.items[1] = 100.0
    torch.testing.assert_close(model({**features, "sequence_ids": new[0]}), first)


@pytest.mark.parametrize("loss", ["softmax", "sampled_softmax", "gbce", "bpr"])
def test_every_loss_teaches_what_follows(loss: str) -> None:
    model = trained("sasrec", PLAIN, 400, loss=LossSettings(name=loss, negatives=20))  # type: ignore[arg-type]
    features, target = batch(PLAIN, seed=1000)
    some = features["lengths"] > 0
    with torch.no_grad():
        assert (model(features).argmax(1) == target)[some].float().mean() > 0.8


def test_a_customer_without_history_is_answered_by_first_items() -> None:
    model = SASRec(SASRecSettings(dim=16, dropout=0.0), PLAIN, N_ITEMS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    features = {"sequence_ids": torch.tensor([[[5 + 2], [3 + 2]]]), "lengths": torch.tensor([2])}
    for _ in range(60):
        optimizer.zero_grad()
        model.training_loss(features, torch.tensor([9]), None, None).backward()  # type: ignore[arg-type]
        optimizer.step()
    nothing = {"sequence_ids": torch.zeros(1, 1, 1, dtype=torch.long), "lengths": torch.tensor([0])}
    assert int(model.eval()(nothing).argmax()) == 5


def test_a_target_outside_the_catalogue_teaches_nothing() -> None:
    """What came before it teaches all the same: as if the row ended a step earlier, with its last item as the target."""
    model = SASRec(SASRecSettings(dim=16, dropout=0.0), PLAIN, N_ITEMS)
    outside = model.training_loss(histories([[3, 4, 5], [7, 8]]), torch.tensor([-1, 9]), None, None)
    shorter = model.training_loss(histories([[3, 4], [7, 8]]), torch.tensor([5, 9]), None, None)
    torch.testing.assert_close(outside, shorter)
    taught = model.training_loss(histories([[3, 4, 5], [7, 8]]), torch.tensor([6, 9]), None, None)
    assert abs(outside - taught) > 1e-4


@torch.no_grad()
def test_new_items_get_the_vectors_of_their_attributes() -> None:
    with torch.enable_grad():
        model = trained("two_tower", RICH, 150)
    assert isinstance(model, TwoTower)
    assert model.attributes_of[2:, 0].tolist() == [item % 5 + 2 for item in range(N_ITEMS)]
    known = {"sequence_ids": torch.tensor([[[item + 2, item % 5 + 2]] for item in range(N_ITEMS)])}
    torch.testing.assert_close(model.encode_items(known), model.item_vectors())
    new = model.encode_items({"sequence_ids": torch.tensor([[[1, category + 2]] for category in range(5)])})
    likeness = (new @ model.item_vectors().T).unflatten(1, (-1, 5)).mean(1)  # by the items' category
    assert likeness.argmax(1).tolist() == list(range(5))


def test_an_item_has_the_attributes_that_stand_beside_it_most_often() -> None:
    """The lowest of several as often; a missing one only where nothing else is known."""
    item = FeatureBlock("history", "catalogue", "sequence_ids", 0, 1, ("history",), cardinality=6)
    kind, brand = (
        FeatureBlock(name, "vocabulary", "sequence_ids", at, 1, (name,), cardinality=9)
        for at, name in ((1, "kind"), (2, "brand"))
    )
    steps = [(2, 5, 3), (2, 4, 0), (2, 4, 0), (3, 8, 7), (3, 7, 0), (4, 0, 0), (2, 0, 0), (2, 0, 0), (2, 0, 0)]
    ragged = Ragged(np.array(steps, np.int32), np.array([0, 5, 5, 9]), np.int64)
    part = Arrays({"sequence_ids": ragged, "lengths": np.array([5, 0, 4])}, np.array([0, 3, 1]))
    assert attributes_of_items(part, item, [kind, brand]).tolist() == [[0, 0], [0, 0], [4, 3], [7, 7], [0, 0], [0, 0]]
    assert attributes_of_items(part, item, []).shape == (6, 0)


def test_time_is_a_column_of_days_of_the_steps() -> None:
    for column in ("price", "wat"):
        with pytest.raises(ConfigError, match=f"model.time is '{column}'.*days, price"):
            SASRec(SASRecSettings(time=column), RICH, N_ITEMS)
    model = trained("sasrec", RICH, 60, time="days")
    features, _ = batch(RICH)
    later = {**features, "sequence_dense": features["sequence_dense"] * torch.tensor([100.0, 1.0])}
    with torch.no_grad():
        assert not torch.allclose(model(features), model(later))


def test_a_network_wants_histories() -> None:
    with pytest.raises(
        ConfigError, match=r"model=gru4rec reads histories as the 31 items of the target.*history by catalogue, category"
    ):
        GRU4Rec(GRU4RecSettings(), RICH, N_ITEMS + 1)
    in_another_order = FeatureSpec((replace(HISTORY, extractor="vocabulary"),))
    with pytest.raises(ConfigError, match=r"history by vocabulary\)\. Set features\.columns\.history=catalogue"):
        MF(MFSettings(), in_another_order, N_ITEMS)
    two = FeatureSpec((HISTORY, replace(HISTORY, column="seen", start=1)))
    with pytest.raises(ConfigError, match=r"model=mf reads one history of items, and catalogue reads history and seen"):
        MF(MFSettings(), two, N_ITEMS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SASRecSettings(heads=3), "model.heads is 3; it must divide model.dim, 64"),
        (lambda: SASRecSettings(dropout=1.0), "model.dropout is 1; it must be from 0 to below 1"),
        (lambda: SASRecSettings(blocks=0), "model.blocks is 0; it must be from 1"),
        (lambda: LossSettings(negatives=0), "model.loss.negatives is 0"),
        (lambda: LossSettings(recency_weight=0.0), "model.loss.recency_weight is 0; it must be above 0 to 1"),
        (lambda: TwoTowerSettings(decay=0.0), "model.decay is 0"),
        (lambda: ALSSettings(alpha=0.0), "model.alpha is 0; it must be above 0"),
        (lambda: SASRecSettings(graph_neighbours=-1), "model.graph_neighbours is -1; it must be from 0"),
        (lambda: SessionKnnSettings(aging=-1), "model.aging is -1; it must be from 0"),
        (lambda: BlendSettings(pair_weights=[2]), r"model.pair_weights is \[2\]; give one or more, each from 0 to 1"),
        (lambda: BlendSettings(neighbour_weights=[]), r"model.neighbour_weights is \[\]; give one or more"),
        (lambda: BlendSettings(neighbour_weights=[0.8], follower_weights=[0.5]), "add up to 1.3 at least"),
    ],
)
def test_settings_say_what_is_wrong(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()  # type: ignore[operator]


def network_without_chance(kind: str) -> Network:
    network, settings = KINDS[kind]
    torch.manual_seed(0)
    return network(replace(settings, dropout=0.0, loss=LossSettings(precision="float32")), PLAIN, N_ITEMS)


def gradients(model: Network, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    named = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(named, found, strict=True))


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_parts", [2, 7])
def test_the_parts_of_a_batch_add_up_to_it(kind: str, weighted: bool, n_parts: int) -> None:
    """The loss is a mean over steps, of which one row has many and another few; and over the first items of a few rows, which
    are the same rows whatever parts there are."""
    n_rows = 8 * BEGINNERS
    whole, target = batch(PLAIN, n_rows=n_rows)
    weight = torch.rand(n_rows) if weighted else None
    order = whole["lengths"].argsort()
    whole, target = {name: values[order] for name, values in whole.items()}, target[order]
    model, task = network_without_chance(kind), NextItem(NextItemSettings())
    marked, size = model.marked(whole), -(-n_rows // n_parts)
    parts = [
        ({name: values[at : at + size] for name, values in marked.items()}, target[at : at + size], rows)
        for at in range(0, n_rows, size)
        for rows in [None if weight is None else weight[at : at + size]]
    ]
    sizes = torch.stack([model.loss_size(*part) for part in parts])
    assert torch.isclose(model.loss_size(whole, target, weight), sizes.sum())
    together = sum(model.training_loss(*part, task) * share for part, share in zip(parts, sizes / sizes.sum(), strict=True))
    expected = model.training_loss(whole, target, weight, task)
    torch.testing.assert_close(together, expected)
    torch.testing.assert_close(gradients(model, together), gradients(model, expected), rtol=1e-4, atol=1e-6)


def test_training_in_parts_is_training(tmp_path: Path) -> None:
    features, target = batch(PLAIN, n_rows=90)
    rows = Arrays({name: values.numpy() for name, values in features.items()}, target.numpy())
    _, task, _ = problem(n_items=N_ITEMS)
    states = []
    for accumulate in (1, 4):
        model = network_without_chance("gru4rec")
        chosen = TrainerSettings(max_epochs=2, batch_size=45, ema_decay=0.0, accelerator="cpu", threads=1, accumulate=accumulate)
        fit(model, task, rows, rows, chosen, folder=tmp_path / str(accumulate), seed=0)
        states.append(model(features))
    torch.testing.assert_close(states[0], states[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["softmax", "sampled_softmax", "gbce", "bpr"])
def test_a_row_that_weighs_nothing_teaches_nothing(name: str) -> None:
    model = network_without_chance("sasrec")
    model.settings = replace(model.settings, loss=LossSettings(name=name, precision="float32"))
    features, target = batch(PLAIN, n_rows=12)
    task, found = NextItem(NextItemSettings()), []
    for other in (0, 5):  # what the rows without weight say
        changed = torch.where(torch.arange(12) % 2 == 0, target, (target + other) % N_ITEMS)
        torch.manual_seed(0)
        found.append(gradients(model, model.training_loss(features, changed, (torch.arange(12) % 2 == 0).float(), task)))
    torch.testing.assert_close(*found)
    nobody = gradients(model, model.training_loss(features, target, torch.zeros(12), task))
    assert not any(values.any() for values in nobody.values())
