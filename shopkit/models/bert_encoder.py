"""Encoders of `transformers`: read from a folder or made from nothing, with adapters, and what of them is trained."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock
from shopkit.features.tokens_bert import encoder_folder
from shopkit.models.settings import BertSettings

LAYER = re.compile(r"\.layers?\.(\d+)\.")


def encoder(settings: BertSettings, tokens: FeatureBlock, n_texts: int = 1) -> nn.Module:
    """An encoder as `transformers` has it, its adapters in it. One from scratch tells so many texts of a row apart.

    Raises:
        ConfigError: the packages are not installed, there is no such folder, it has no weights, or its vocabulary or length is
            not that of the tokens.
    """
    try:
        made = _scratch(settings, tokens, n_texts) if settings.encoder == "scratch" else _pretrained(settings, tokens)
        if settings.lora_rank:
            made = _with_adapters(settings, made)
    except ImportError as error:
        raise ConfigError(
            f"model=bert needs the packages transformers and peft, and {error.name} is missing: pip install 'shopkit[text]'."
        ) from error
    freeze(made, settings)
    return made


def _scratch(settings: BertSettings, tokens: FeatureBlock, n_texts: int) -> nn.Module:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=tokens.cardinality,
        hidden_size=settings.hidden_dim,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden_dim,
        max_position_embeddings=longest(tokens),
        type_vocab_size=n_texts,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )
    return BertModel(config, add_pooling_layer=False)


def _pretrained(settings: BertSettings, tokens: FeatureBlock) -> nn.Module:
    from transformers import AutoModel

    folder = encoder_folder(settings.encoder)
    if not (folder / "config.json").is_file():
        raise ConfigError(f"The encoder's folder {folder} has no config.json: it is not the folder of a Hugging Face encoder.")
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"The encoder's folder {folder} has no weights: no file *.safetensors. Save it with save_pretrained, or take "
            "model.encoder=scratch to start from nothing."
        )
    with _quiet():
        made: nn.Module = AutoModel.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            hidden_dropout_prob=settings.dropout,
            attention_probs_dropout_prob=settings.dropout,
        ).float()
    made.pooler = None  # type: ignore[assignment]  # the model pools by itself
    _require_match(made.config, tokens, folder)
    return made


def _require_match(config: Any, tokens: FeatureBlock, folder: Path) -> None:
    if config.vocab_size != tokens.cardinality:
        raise ConfigError(
            f"The encoder {folder} reads {config.vocab_size:,} token ids, and {tokens.extractor} gives {tokens.cardinality:,} "
            f"for '{tokens.column}': another vocabulary. Use wordpiece with the same word as model.encoder: "
            f"features.columns.{tokens.column}={{name: wordpiece, vocabulary: ...}}."
        )
    if config.max_position_embeddings < longest(tokens):
        raise ConfigError(
            f"The encoder {folder} reads {config.max_position_embeddings} tokens at most, and {tokens.extractor} gives up to "
            f"{longest(tokens)}: set its max_length to {config.max_position_embeddings} or less."
        )


def longest(tokens: FeatureBlock) -> int:
    """Tokens that a row can have."""
    return tokens.shape[0] if tokens.shape else 512


def _with_adapters(settings: BertSettings, made: nn.Module) -> nn.Module:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.lora_rank, lora_alpha=settings.lora_alpha, lora_dropout=settings.dropout, target_modules=settings.lora_targets
    )
    try:
        return inject_adapter_in_model(config, made)
    except ValueError as error:
        names = sorted({name.rsplit(".", 1)[-1] for name, module in made.named_modules() if isinstance(module, nn.Linear)})
        raise ConfigError(
            f"model.lora_targets is {settings.lora_targets!r}, but the encoder has no such layer. It has {', '.join(names)}."
        ) from error


def merged(made: nn.Module) -> nn.Module:
    """The encoder with its adapters multiplied into its weights, in place."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in list(made.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, BaseTunerLayer):
                child.merge()
                setattr(module, name, child.get_base_layer())
    return made


def freeze(made: nn.Module, settings: BertSettings) -> None:
    """Leave untrained what the settings say; adapters are always trained."""
    for name, parameter in made.named_parameters():
        depth = layer_of(name)
        below = "embeddings" in name if depth < 0 else depth < settings.freeze_layers
        if "lora_" not in name and (
            settings.freeze == "all"
            or (depth < 0 and below and (settings.freeze == "embeddings" or settings.freeze_layers > 0))
            or (depth >= 0 and below)
        ):
            parameter.requires_grad = False


def layer_of(name: str) -> int:
    """The layer that a parameter belongs to, from 0; −1 for the embeddings and all outside the layers."""
    found = LAYER.search(f".{name}")
    return int(found.group(1)) if found else -1


@contextmanager
def _quiet() -> Iterator[None]:
    """What transformers prints of weights it does not use, its pooler's, is no concern of the user's."""
    from transformers.utils import logging as notices

    level, had_bar = notices.get_verbosity(), notices.is_progress_bar_enabled()
    notices.set_verbosity(logging.ERROR)
    notices.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        notices.set_verbosity(level)
        if had_bar:
            notices.enable_progress_bar()  # type: ignore[no-untyped-call]
