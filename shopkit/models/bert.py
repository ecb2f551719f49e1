"""A Transformer encoder over the tokens of a text, joined with bags of terms and plain columns.

Devlin, Chang, Lee, Toutanova: BERT: Pre-training of deep bidirectional Transformers for language understanding (NAACL 2019); a
linear part beside the deep one after Cheng et al.: Wide & deep learning for recommender systems (2016).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from shopkit.errors import ConfigError
from shopkit.features.base import FeatureSpec
from shopkit.features.tokens_bert import FIRST, SEPARATOR
from shopkit.models.bag import bag
from shopkit.models.base import Arrays, Axis, Batch, Model
from shopkit.models.bert_encoder import encoder, layer_of, merged, padding_position
from shopkit.models.mlp import MLP
from shopkit.models.settings import BertSettings
from shopkit.tasks.base import Task

HIDDEN = -1e9
"""Added to the attention that nothing may pay to padding. Not −∞: a row without tokens would have no weights at all."""


class Pooling(nn.Module):
    """(batch, length, width) and which tokens are inside (batch, length) → (batch, width)."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.key = nn.Linear(width, width)
            self.query = nn.Linear(width, 1, bias=False)

    def weights(self, states: Tensor, inside: Tensor) -> Tensor:
        """How much each token counts, (batch, length); rows sum to 1, or to 0 without tokens."""
        if self.kind == "attention":
            agreement: Tensor = self.query(torch.tanh(self.key(states))).squeeze(2)
            return torch.softmax(agreement.masked_fill(~inside, HIDDEN), 1) * inside.any(1, keepdim=True)
        counted = inside.to(states.dtype)
        return counted / counted.sum(1, keepdim=True).clamp(min=1)

    def forward(self, states: Tensor, inside: Tensor) -> Tensor:
        if self.kind == "cls":
            return states[:, 0]
        if self.kind == "max":
            return states.masked_fill(~inside.unsqueeze(2), HIDDEN).amax(1) * inside.any(1, keepdim=True)
        return torch.bmm(self.weights(states, inside).unsqueeze(1), states).squeeze(1)


class Bert(Model):
    """Scores are a sum: of what is kept of the tokens, linearly, of the bags' terms, and of an `MLP` on the plain columns."""

    settings: BertSettings
    encoder: Any

    def __init__(self, settings: BertSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs)
        if features.tokens is None:
            raise ConfigError(
                "model=bert reads tokens, and no feature column gives any. Name its text columns: "
                "features.columns.<column>={name: wordpiece, vocabulary: ...}, or choose another model."
            )
        names = features.tokens.names
        if settings.pooling == "cls" and names and FIRST not in names:
            raise ConfigError(
                f"model.pooling is cls, the vector of the token {FIRST}, and {features.tokens.extractor} puts none before "
                f"'{features.tokens.column}'. Take mean, max or attention, or the extractor wordpiece."
            )
        texts = [block for block in features.blocks if block.tensor == "tokens"]
        self.encoder = encoder(settings, features.tokens, len(texts))
        self.n_types = min(len(texts), getattr(self.encoder.config, "type_vocab_size", 0))
        self.padding = padding_position(self.encoder)
        self.separator = names.index(SEPARATOR) if SEPARATOR in names else -1
        width = int(self.encoder.config.hidden_size)
        self.pooling = Pooling(settings.pooling, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(width, n_outputs)
        self.bag = bag(settings, features, n_outputs)
        plain = FeatureSpec((*features.dense, *features.ids))
        self.head = MLP(settings.head, plain, n_outputs) if plain.blocks else None

    def forward(self, batch: Batch) -> Tensor:
        tokens = batch["tokens"]  # (batch, length)
        inside = torch.arange(tokens.shape[1], device=tokens.device) < batch["token_lengths"].unsqueeze(1)
        states = self._read(tokens, inside).last_hidden_state  # (batch, length, width)
        kept = self.pooling(states, inside)  # (batch, width)
        if self.settings.normalize:
            kept = F.layer_norm(kept, kept.shape[-1:])
        scores: Tensor = self.output(self.dropout(kept))  # (batch, n_outputs)
        if self.head is not None:
            of_table = self.head({name: batch[name] for name in ("dense", "ids") if name in batch})
            # The perceptron is an ensemble while it is trained.
            scores = of_table + (scores.unsqueeze(1) if of_table.ndim == 3 else scores)
        return scores if self.bag is None else self.bag.join(scores, batch)

    def _read(self, tokens: Tensor, inside: Tensor, **options: Any) -> Any:
        places = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0)
        # A row without tokens looks at its first place, whatever padding it has.
        seen = inside | (places == 0)
        if self.padding >= 0:
            known = (tokens != self.padding).long()
            places = known.cumsum(1) * known + self.padding
        # Padding may reach beyond the last position that the encoder knows.
        places = places.clamp(max=self.encoder.config.max_position_embeddings - 1)
        if self.n_types > 1 and self.separator >= 0:
            ends = (tokens == self.separator).long()
            # Each text ends with a separator, which is its own still.
            options["token_type_ids"] = (ends.cumsum(1) - ends).clamp(max=self.n_types - 1)
        return self.encoder(input_ids=tokens, attention_mask=_mask(seen), position_ids=places, **options)

    def train(self, mode: bool = True) -> Bert:
        super().train(mode)
        if self.settings.freeze == "all" and not self.settings.lora_rank:
            self.encoder.eval()  # what is not trained gives the same answer every time
        return self

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        axes = {} if self.head is None else {f"head.{name}": axis for name, axis in self.head.axes(vocabularies).items()}
        words, tokens = self.encoder.get_input_embeddings().weight, self.features.tokens
        for name, parameter in self.named_parameters():
            if name.startswith("bag."):
                axes[name] = Axis([])
            elif parameter is words and tokens is not None:
                axes[name] = Axis(list(tokens.names))
        return axes

    def start_from(self, bias: Tensor) -> None:
        with torch.no_grad():
            self.output.weight.zero_()
            self.output.bias.copy_(bias)

    def prepare(self, train: Arrays, validation: Arrays, task: Task, seed: int) -> None:
        if self.bag is not None:
            self.bag.prepare(self.features, train, validation, task, seed)

    def finish(self, validation: Arrays, task: Task) -> dict[str, Any]:
        return {} if self.bag is None else self.bag.finish(self, validation, task)

    def for_export(self) -> nn.Module:
        exported = copy.deepcopy(self)
        if self.settings.lora_rank:
            exported.encoder = merged(exported.encoder)
        if self.head is not None:
            exported.head = self.head.for_export()  # type: ignore[assignment]
        return exported

    def entries(self) -> dict[str, nn.Module]:
        return {"tokens": self.encoder.get_input_embeddings(), **(self.head.entries() if self.head is not None else {})}

    def attention(self, batch: Batch) -> Tensor:
        """Of the last layer, the mean over its heads, and over the tokens that are kept."""
        tokens = batch["tokens"]
        inside = torch.arange(tokens.shape[1], device=tokens.device) < batch["token_lengths"].unsqueeze(1)
        before = self.encoder.config._attn_implementation
        self.encoder.set_attn_implementation("eager")  # the only one that gives its weights
        try:
            found = self._read(tokens, inside, output_attentions=True)
        finally:
            self.encoder.set_attn_implementation(before)
        of_tokens: Tensor = found.attentions[-1].mean(1)  # (batch, length, length)
        if self.settings.pooling == "cls":
            return of_tokens[:, 0]
        weights = self.pooling.weights(found.last_hidden_state, inside)
        return torch.bmm(weights.unsqueeze(1), of_tokens).squeeze(1)

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """The encoder's by layer, each at its own rate; weights decay, biases and normalisation do not."""
        settings = self.settings
        top = settings.encoder_lr if settings.encoder_lr != "auto" else 1e-3 if settings.encoder == "scratch" else 1e-4
        n_layers = 1 + max(layer_of(name) for name, _ in self.encoder.named_parameters())
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad or name.startswith("head."):
                continue
            rate = lr
            if name.startswith("encoder."):
                rate = top * settings.layer_decay ** (n_layers - 1 - layer_of(name))
            groups.setdefault((rate, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
        own = [{"params": values, "lr": rate, "weight_decay": decay} for (rate, decay), values in groups.items()]
        return [*own, *(self.head.parameter_groups(lr, weight_decay) if self.head is not None else [])]


def _mask(inside: Tensor) -> Tensor:
    """(batch, length) → (batch, 1, length, length): what is added to the attention of each token to each."""
    hidden = torch.zeros_like(inside, dtype=torch.float32).masked_fill(~inside, HIDDEN)
    return hidden[:, None, None, :].expand(-1, 1, inside.shape[1], -1)
