"""What this package offers. Imported whenever shopkit starts, so nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shopkit import hookimpl
from shopkit.component import Component
from shopkit.errors import ConfigError

from shopkit_recommend.exporters.settings import ItemIndexSettings
from shopkit_recommend.features.settings import CatalogueSettings
from shopkit_recommend.models import network_settings as networks
from shopkit_recommend.models import settings as models
from shopkit_recommend.tasks.settings import NextItemSettings
from shopkit_recommend.views import settings as views

_HOME = "shopkit_recommend"
_REPEATS = {"exclude_seen": False}
"""In the suite's made-up histories what comes next may have been there before."""
_UNRELATED = {"check_estimators_learn": "the suite's histories are made up at random, and tell nothing of what comes next"}
_NOT_FACTORED = dict.fromkeys(
    (
        "check_exporters_compare_file_and_model",
        "check_exporters_main_leaves_the_runs_file",
        "check_exporters_file_answers_as_the_model",
        "check_exporters_are_deterministic",
    ),
    "the suite's model is no product of a customer's and an item's vector, which this exporter takes apart",
)


def _estimator(name: str, settings: type, home: str, summary: str, tried_with: Mapping[str, Any] = _REPEATS) -> Component:
    tags = frozenset({"estimator", "features:sequences", "features:catalogue", "task:next_item"})
    return Component(name, settings, f"{_HOME}.{home}", summary, tags, tried_with, _UNRELATED)


def _network(name: str, settings: type, home: str, summary: str) -> Component:
    tags = frozenset({"features:sequences", "features:catalogue", "features:embedding", "task:next_item"})
    return Component(name, settings, f"{_HOME}.{home}", summary, tags, {**_REPEATS, "dim": 16})


@hookimpl
def shopkit_views() -> list[Component]:
    return [
        Component(
            "interactions",
            views.InteractionsSettings,
            f"{_HOME}.views.interactions:InteractionsView",
            "Histories and what came next, from a table of orders, views or clicks",
        ),
        Component(
            "item_sequences",
            views.ItemSequencesSettings,
            f"{_HOME}.views.item_sequences:ItemSequencesView",
            "Histories and what came next, from lists of items",
        ),
        Component(
            "session_prefixes",
            views.SessionPrefixesSettings,
            f"{_HOME}.views.session_prefixes:SessionPrefixesView",
            "Sessions to train on, and given beginnings of sessions to test on",
        ),
    ]


@hookimpl
def shopkit_features() -> list[Component]:
    return [
        Component(
            "catalogue",
            CatalogueSettings,
            f"{_HOME}.features.catalogue:Catalogue",
            "Items as the ids of what is recommended",
        )
    ]


@hookimpl
def shopkit_models() -> list[Component]:
    return [
        _estimator("popular", models.PopularSettings, "models.popular:Popular", "What is bought most"),
        _estimator("markov", models.MarkovSettings, "models.markov:Markov", "What most often followed the last item"),
        _estimator(
            "item_knn",
            models.ItemKnnSettings,
            "models.item_knn:ItemKnn",
            "Items bought by the same customers as those of the history, the latest counting most",
        ),
        _estimator(
            "session_knn",
            models.SessionKnnSettings,
            "models.session_knn:SessionKnn",
            "Items of the most similar sessions (V-SKNN)",
        ),
        _estimator(
            "ease", models.EaseSettings, "models.ease:Ease", "A linear model of each item by all others, in closed form (EASE)"
        ),
        _estimator(
            "als",
            networks.ALSSettings,
            "models.als:ALS",
            "Matrix factorisation by implicit least squares, customers folded in by the file",
        ),
        _estimator(
            "blend",
            networks.BlendSettings,
            "models.blend:Blend",
            "A network and the neighbours of the session",
            {"trainer": {"max_epochs": 1}},
        ),
        _network("mf", networks.MFSettings, "models.mf:MF", "Matrix factorisation by gradients (BPR)"),
        _network(
            "two_tower",
            networks.TwoTowerSettings,
            "models.two_tower:TwoTower",
            "A tower for customers and one for items, which meet in a cosine",
        ),
        _network("gru4rec", networks.GRU4RecSettings, "models.gru4rec:GRU4Rec", "A recurrent network over the history"),
        _network("sasrec", networks.SASRecSettings, "models.sasrec:SASRec", "A causal transformer over the history"),
    ]


@hookimpl
def shopkit_tasks() -> list[Component]:
    return [
        Component(
            "next_item",
            NextItemSettings,
            f"{_HOME}.tasks.next_item:NextItem",
            "Which item comes next: the best k of the catalogue, by name",
        )
    ]


@hookimpl
def shopkit_exporters() -> list[Component]:
    return [
        Component(
            "item_index",
            ItemIndexSettings,
            f"{_HOME}.exporters.item_index:ItemIndexExporter",
            "The file, and vectors of customers and of items with an approximate index",
            frozenset({"main"}),
            known_failures=_NOT_FACTORED,
        )
    ]


@hookimpl
def shopkit_configured(config: Mapping[str, Any]) -> None:
    """
    Raises:
        ConfigError: a file that would read more of a history than training sees, or a blend that would choose its weights by rows
            that it remembers.
    """
    if config["view"]["name"] in {component.name for component in shopkit_views()}:
        _check_steps(config["view"], config["features"]["max_length"])
    for model in (config["model"], *config["evaluation"]["baselines"]):
        name, changed = (model, {}) if isinstance(model, str) else (model["name"], model)
        if name != "blend" or not config["view"].get("train_on_validation"):
            continue
        settings = networks.BlendSettings()
        offered = {key: changed.get(key, getattr(settings, key)) for key in settings.weights}
        if several := [key for key, weights in offered.items() if len(weights) > 1]:
            raise ConfigError(
                f"view.train_on_validation=true: model=blend chooses among model.{several[0]}={list(offered[several[0]])} by the "
                "validation part, which it then knows by heart. Choose without it first, and then give one weight each: "
                f"{', '.join(f'model.{key}=[…]' for key in several)}."
            )


def _check_steps(view: Mapping[str, Any], max_length: int) -> None:
    """That a file reads no more steps than there are to learn from, and with `whole_past` learns from all that there are."""
    max_steps = view["max_steps"]
    if not 0 < max_length <= max_steps:
        asked = f"{max_length} steps" if max_length else "all steps"
        raise ConfigError(
            f"features.max_length={max_length}: the file would read {asked} of a history, and training sees the latest "
            f"view.max_steps={max_steps}. Set features.max_length={max_steps}, or in an experiment file "
            "features.max_length: ${view.max_steps}."
        )
    if view["whole_past"] and max_length < max_steps:
        raise ConfigError(
            f"view.whole_past=true makes rows of view.max_steps={max_steps} steps, and features.max_length={max_length} lets "
            f"training see the latest {max_length} of each: not the whole past. Set view.max_steps={max_length}, or "
            f"features.max_length={max_steps}."
        )


@hookimpl
def shopkit_config_paths() -> list[Path]:
    return [Path(__file__).parent / "conf"]
