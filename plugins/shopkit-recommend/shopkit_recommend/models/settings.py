"""Settings of the models. Imports nothing heavy: read for help texts and config checks."""

from __future__ import annotations

from dataclasses import dataclass

from shopkit.errors import ConfigError


def within(setting: str, value: float, low: float, high: float = float("inf"), *, open_low: bool = False) -> None:
    """
    Raises:
        ConfigError: the value is not in the range.
    """
    if not ((low < value if open_low else low <= value) and value <= high):
        upper = "" if high == float("inf") else f" to {high:g}"
        raise ConfigError(f"model.{setting} is {value:g}; it must be {'above' if open_low else 'from'} {low:g}{upper}.")


@dataclass
class PopularSettings:
    """What is bought most, the recent counting more. The same for everyone, less what they have."""

    half_life_days: float = 0.0
    """Days after which an interaction counts half; 0 counts all alike. Needs `view.days` and the times of the decisions."""
    exclude_seen: bool = True
    """Never recommend what stands in the history. Groceries repeat: there, false."""

    def __post_init__(self) -> None:
        within("half_life_days", self.half_life_days, 0)


@dataclass
class MarkovSettings:
    """What most often followed the last item, and where that ties or says nothing, what is bought most."""

    window: int = 1
    """Steps within which an item counts as following, d steps later 1/d. 1 is the plain chain; more are sequential rules
    (Kamehkhosh, Jannach & Ludewig 2017)."""
    backwards: float = 0.0
    """What it counts that the item came before instead: in short sessions the order is half chance."""
    exclude_seen: bool = True
    """Never recommend what stands in the history. Groceries repeat: there, false."""

    def __post_init__(self) -> None:
        within("window", self.window, 1)
        within("backwards", self.backwards, 0, 1)


@dataclass
class PairsSettings:
    """What most often followed the last two items, for a blend."""

    exclude_seen: bool = False
    """Never recommend what stands in the history."""


@dataclass
class ItemKnnSettings:
    """Cosine similarity of items by who has them (Sarwar et al. 2001), summed over the history."""

    decay: float = 0.6
    """Weight of a step of the history relative to the one after it; 1 counts all alike."""
    shrink: float = 50.0
    """Added to the norms, so that few customers in common make no strong similarity."""
    neighbours: int = 0
    """Most similar items kept of each; 0 keeps all, which is the most accurate and the largest file."""
    repeat: float = 0.0
    """Similarity of an item to itself: what was bought before comes again. With `exclude_seen` it says nothing."""
    exclude_seen: bool = True
    """Never recommend what stands in the history. Groceries repeat: there, false."""

    def __post_init__(self) -> None:
        within("decay", self.decay, 0, 1, open_low=True)
        within("shrink", self.shrink, 0)
        within("neighbours", self.neighbours, 0)
        within("repeat", self.repeat, 0)


@dataclass
class SessionKnnSettings:
    """Vector multiplication session-based kNN (Ludewig & Jannach 2018): items of the sessions most similar to this one."""

    neighbours: int = 500
    """Sessions that are asked."""
    decay: float = 0.7
    """Weight of a step of the session relative to the one after it."""
    idf: bool = True
    """Rare items count more, by the logarithm of the share of sessions that have them."""
    aging: float = 0.0
    """How much less an old session is like this one: the oldest e^-aging of the latest, those between by their order. About 1
    where sessions span months."""
    recent: int = 0
    """The latest sessions of each item that are looked at; 0 looks at all, which is the most accurate and the slowest."""
    exclude_seen: bool = False
    """Never recommend what stands in the session. In sessions people come back to items: there, false."""

    def __post_init__(self) -> None:
        within("neighbours", self.neighbours, 1)
        within("decay", self.decay, 0, 1, open_low=True)
        within("aging", self.aging, 0)
        within("recent", self.recent, 0)


@dataclass
class EaseSettings:
    """Embarrassingly shallow autoencoders (Steck 2019): each item as a linear function of all others, ridge regression in closed
    form. Fitting inverts a matrix of items by items: some 30 seconds for 12,000 of them."""

    l2: float = 50.0
    """Ridge penalty, in customers."""
    decay: float = 0.8
    """Weight of a step of the history relative to the one after it, when recommending; 1 counts all alike, as published."""
    weights: int = 300
    """Largest weights kept of each item in the file; 0 keeps all."""
    max_items: int = 30_000
    """Items at most: fitting takes 4 bytes at least for each pair of them, 3.6 GB for 30,000. A larger catalogue is refused."""
    exclude_seen: bool = True
    """Never recommend what stands in the history. Groceries repeat: there, false."""

    def __post_init__(self) -> None:
        within("l2", self.l2, 0, open_low=True)
        within("decay", self.decay, 0, 1, open_low=True)
        within("weights", self.weights, 0)
        within("max_items", self.max_items, 1)
