"""Settings of the networks. Imports nothing heavy: read for help texts and config checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from shopkit.errors import ConfigError
from shopkit.training.settings import TrainerSettings

from shopkit_recommend.models.settings import MarkovSettings, SessionKnnSettings, within


@dataclass
class LossSettings:
    """What a network is trained to lower at every step of every history."""

    name: Literal["softmax", "sampled_softmax", "gbce", "bpr"] = "softmax"
    """`softmax` over the whole catalogue; `sampled_softmax` over the right item and sampled ones; `gbce`, binary cross-entropy
    with sampled items, calibrated (Petrov & Macdonald 2023); `bpr`, the right item above sampled ones (Rendle et al. 2009)."""
    negatives: int = 1024
    """Sampled items, drawn anew for each batch on its device and shared by its steps. `softmax` needs none."""
    calibration: float = 0.75
    """t of `gbce`: 0 is plain binary cross-entropy, 1 undoes the overconfidence that sampling brings."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """In which `softmax` multiplies states by items while training: `auto` takes bfloat16 where the processor has it natively,
    some five times faster and as good. Scores are float32 always."""
    recency_weight: float = 1.0
    """Weight of a step relative to the one after it; the last step of a history has weight 1. Below 1 the end counts more."""
    repeat_weight: float = 1.0
    """Weight of a step whose item stood earlier in the history. 0 learns what is new only; above 1 suits shops where people buy
    the same again."""

    def __post_init__(self) -> None:
        within("loss.negatives", self.negatives, 1)
        within("loss.calibration", self.calibration, 0, 1)
        within("loss.recency_weight", self.recency_weight, 0, 1, open_low=True)
        within("loss.repeat_weight", self.repeat_weight, 0)


@dataclass
class NetworkSettings:
    """What all networks have in common."""

    dim: int = 64
    """Dimensions of an item and of a state."""
    dropout: float = 0.5
    """Share of values dropped while training."""
    cosine_scale: float = 0.0
    """Above 0, scores are cosines of states and items times this, and items are read at unit length (Gupta et al., NISER, 2019):
    what is rare is not drowned by what is popular. About 10 to 16. 0 is the plain product."""
    graph_neighbours: int = 0
    """Above 0, to the vector of each item is added a mean of those of so many items that stand beside it most often (after Wang
    et al., GCE-GNN, 2020), so that items with few interactions share what is known of those around them. About 12; 0 is none."""
    graph_weight: float = 0.5
    """Of that mean, beside the item's own vector."""
    attributes: bool = True
    """Read the other columns of each step (category, price, days) beside the item itself, where there are any."""
    profile: bool = True
    """Read the customer's plain columns, where there are any."""
    exclude_seen: bool = True
    """Never recommend what stands in the history. Groceries repeat: there, false."""
    loss: LossSettings = field(default_factory=LossSettings)
    """What is lowered in training."""
    init_from: str = ""
    """Folder of an earlier run of this model, whose weights training starts from; its items are found again by their names."""

    def __post_init__(self) -> None:
        within("dim", self.dim, 1)
        within("dropout", self.dropout, 0)
        within("cosine_scale", self.cosine_scale, 0)
        within("graph_neighbours", self.graph_neighbours, 0)
        within("graph_weight", self.graph_weight, 0)
        if not self.dropout < 1:
            raise ConfigError(f"model.dropout is {self.dropout:g}; it must be from 0 to below 1.")


@dataclass
class SASRecSettings(NetworkSettings):
    """A causal transformer over the history (Kang & McAuley 2018)."""

    blocks: int = 2
    """Transformer blocks."""
    heads: int = 2
    """Attention heads; they share the dimensions."""
    position: Literal["absolute", "relative", "none"] = "absolute"
    """`absolute`: a learned vector for each place, counted from the first step read; `relative`: a learned bias of attention for
    each distance; `none`."""
    max_length: int = 50
    """Places told apart; steps beyond are all as the last. Read no more by `features.max_length`."""
    time: str = ""
    """Column of the steps with days: attention then has a learned bias for each time between two steps, in powers of 2."""
    feedforward: int = 1
    """Width of the hidden layer of each block, in multiples of `dim`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("blocks", "heads", "max_length", "feedforward"):
            within(name, getattr(self, name), 1)
        if self.dim % self.heads:
            raise ConfigError(f"model.heads is {self.heads}; it must divide model.dim, {self.dim}.")


@dataclass
class GRU4RecSettings(NetworkSettings):
    """A recurrent network over the history (Hidasi et al. 2016)."""

    dropout: float = 0.3
    """Share of values dropped while training."""
    hidden_dim: int = 128
    """Width of the recurrent state."""
    layers: int = 1
    """Recurrent layers, one on another."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden_dim", "layers"):
            within(name, getattr(self, name), 1)


@dataclass
class TwoTowerSettings(NetworkSettings):
    """A tower for the customer (history and profile) and one for the item (itself and its attributes)."""

    dropout: float = 0.3
    """Share of values dropped while training."""
    cosine_scale: float = 14.0
    """As for all networks."""
    hidden: list[int] = field(default_factory=lambda: [128])
    """Widths of the customer tower's hidden layers."""
    decay: float = 0.8
    """Weight of a step relative to the one after it, where the history is averaged, to start from; it is learned."""
    item_dropout: float = 0.1
    """Share of items that are known by their attributes only while training, so that new items get sensible vectors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for width in self.hidden:
            within("hidden", width, 1)
        within("decay", self.decay, 0, 1, open_low=True)
        within("item_dropout", self.item_dropout, 0, 1)


@dataclass
class MFSettings(NetworkSettings):
    """Matrix factorisation by gradients; a customer's factors are made of those of the items in the history."""

    dropout: float = 0.3
    """Share of values dropped while training."""
    decay: float = 0.8
    """Weight of a step relative to the one after it in the customer's factors, to start from; it is learned."""
    loss: LossSettings = field(default_factory=lambda: LossSettings(name="bpr", negatives=256))
    """What is lowered in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within("decay", self.decay, 0, 1, open_low=True)


@dataclass
class ALSSettings:
    """Implicit alternating least squares (Hu, Koren & Volinsky 2008), in closed form; customers are folded in by the file."""

    factors: int = 128
    """Dimensions of an item and of a customer."""
    alpha: float = 10.0
    """How much more an interaction counts than none: confidence 1 + alpha."""
    regularization: float = 1.0
    """Weight of the squared factors."""
    iterations: int = 15
    """Rounds of least squares, items and customers in turn."""
    recency: float = 1.0
    """Confidence of a step relative to the one after it; below 1 the end of the history counts more."""
    fold_in_steps: int = 8
    """Steps of conjugate gradients that find a customer's factors."""
    exclude_seen: bool = True
    """Never recommend what stands in the history. Groceries repeat: there, false."""

    def __post_init__(self) -> None:
        for name in ("factors", "iterations", "fold_in_steps"):
            within(name, getattr(self, name), 1)
        for name in ("alpha", "regularization"):
            within(name, getattr(self, name), 0, open_low=True)
        within("recency", self.recency, 0, 1, open_low=True)


@dataclass
class BlendSettings:
    """A network, the neighbours of the session, and what follows what, their answers averaged."""

    weights: ClassVar[tuple[str, ...]] = ("neighbour_weights", "follower_weights", "pair_weights")

    network: Literal["sasrec", "gru4rec"] = "sasrec"
    """Which network."""
    sasrec: SASRecSettings = field(
        default_factory=lambda: SASRecSettings(
            dim=96, dropout=0.3, max_length=20, position="relative", cosine_scale=16.0, graph_neighbours=20, graph_weight=1.0
        )
    )
    """Settings of the transformer, if it is that."""
    gru4rec: GRU4RecSettings = field(
        default_factory=lambda: GRU4RecSettings(dim=96, dropout=0.3, cosine_scale=16.0, graph_neighbours=20, graph_weight=1.0)
    )
    """Settings of the recurrent network, if it is that."""
    aging: float = 0.0
    """How much less the network learns of an old session: of the oldest e^-aging of what it learns of the latest, of those
    between by their order. `neighbours.aging` is that of the neighbours."""
    neighbours: SessionKnnSettings = field(default_factory=SessionKnnSettings)
    """Settings of the neighbours."""
    followers: MarkovSettings = field(default_factory=lambda: MarkovSettings(window=5, backwards=0.5))
    """Settings of what follows what."""
    neighbour_weights: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.4])
    """Weights of the neighbours, and …"""
    follower_weights: list[float] = field(default_factory=lambda: [0.0, 0.2, 0.3, 0.4])
    """… of what most often followed the last item, and …"""
    pair_weights: list[float] = field(default_factory=lambda: [0.0])
    """… of what most often came right after the last two; the network has the rest. Of all combinations the one is kept that
    validates best."""
    power: float = 0.5
    """Probabilities are averaged to this power: below 1, what both find likely goes before what one of them is sure of."""
    trainer: TrainerSettings = field(
        default_factory=lambda: TrainerSettings(
            max_epochs=6, patience=0, batch_size=512, lr=4e-3, weight_decay=0.0, schedule="cosine"
        )
    )
    """How the network is trained; the run's own `trainer` trains nothing here."""
    exclude_seen: bool = False
    """Never recommend what stands in the session. In sessions people come back to items: there, false."""

    def __post_init__(self) -> None:
        for network in ("sasrec", "gru4rec"):
            if getattr(self, network).init_from:
                raise ConfigError(
                    f"model.{network}.init_from: a blend fits all its parts anew; start from a run with model={network}."
                )
        for name in self.weights:
            weights = getattr(self, name)
            if not weights or any(not 0 <= weight <= 1 for weight in weights):
                raise ConfigError(f"model.{name} is {list(weights)}; give one or more, each from 0 to 1.")
        least = sum(min(getattr(self, name)) for name in self.weights)
        if least > 1:
            raise ConfigError(
                "model.neighbour_weights, model.follower_weights and model.pair_weights add up to "
                f"{least:g} at least; at most 1 is there."
            )
        within("power", self.power, 0, open_low=True)
        within("aging", self.aging, 0)
