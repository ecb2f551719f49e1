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
from shopkit.features.tokens_bert import TOKENIZERS, encoder_folder, read
from shopkit.models.settings import BertSettings

LAYER = re.compile(r"\.layers?\.(\d+)\.")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")
"""What BERT, and what others call the share of units that is dropped."""


def encoder(settings: BertSettings, tokens: FeatureBlock, n_texts: int = 1) -> nn.Module:
    """An encoder as `transformers` has it, its adapters in it. One from scratch tells so many texts of a row apart.

    Raises:
        ConfigError: the packages are not installed, there is no such folder, a file of it is damaged, weights are missing, its
            vocabulary or length is not that of the tokens, or it has fewer layers than are to be frozen.
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
    from transformers import AutoConfig, AutoModel

    folder = encoder_folder(settings.encoder)
    if not (folder / "config.json").is_file():
        raise ConfigError(f"The encoder's folder {folder} has no config.json: it is not the folder of a Hugging Face encoder.")
    weights = next((file for file in WEIGHTS if (folder / file).is_file()), None)
    if weights is None:
        raise ConfigError(
            f"The encoder's folder {folder} has no weights: no file {WEIGHTS[0]}. Save it with save_pretrained, or take "
            "model.encoder=scratch to start from nothing."
        )
    with _quiet(), _reading(folder / "config.json"):
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    _require_vocabulary(config, tokens, folder, settings.encoder)
    for name in DROPOUT:
        if hasattr(config, name):
            setattr(config, name, settings.dropout)
    with _quiet(), _reading(folder / weights):
        made, about = AutoModel.from_pretrained(
            str(folder), config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    if missing := sorted(name for name in about["missing_keys"] if not name.startswith("pooler")):
        named = ", ".join(missing[:3]) + (" and others" if len(missing) > 3 else "")
        raise ConfigError(
            f"{folder / weights} lacks {len(missing)} of the encoder's weights, which would be random: {named}. It is the file "
            "of another model than config.json describes. Save the encoder with save_pretrained, or take model.encoder=scratch "
            "to start from nothing."
        )
    made.pooler = None  # the model pools by itself
    _require_length(made, tokens, folder)
    return made.float()  # type: ignore[no-any-return]


def _require_vocabulary(config: Any, tokens: FeatureBlock, folder: Path, encoder: str) -> None:
    advice = (
        f"Use wordpiece with the same word as model.encoder: features.columns.{tokens.column}={{name: wordpiece, vocabulary: "
        f"{encoder}}}, or take model.encoder=scratch, which learns to read any tokens."
    )
    if config.vocab_size != tokens.cardinality:
        raise ConfigError(
            f"The encoder {folder} reads {config.vocab_size:,} token ids, and {tokens.extractor} gives {tokens.cardinality:,} "
            f"for '{tokens.column}': another vocabulary. {advice}"
        )
    if not tokens.names or not any((folder / file).is_file() for file in TOKENIZERS):
        return  # nothing to compare with
    for at, (own, given) in enumerate(zip(read(folder).vocabulary, tokens.names, strict=False)):
        if own != given:
            raise ConfigError(
                f"The encoder {folder} was trained with another vocabulary than {tokens.extractor} gives for '{tokens.column}': "
                f"id {at} is {own!r} in its folder, and {given!r} here. {advice}"
            )


def _require_length(made: nn.Module, tokens: FeatureBlock, folder: Path) -> None:
    most = int(made.config.max_position_embeddings) - padding_position(made) - 1  # type: ignore[union-attr, arg-type]
    if most < longest(tokens):
        raise ConfigError(
            f"The encoder {folder} reads {most} tokens at most, and {tokens.extractor} gives up to {longest(tokens)}: set its "
            f"max_length to {most} or less."
        )


def padding_position(made: nn.Module) -> int:
    """The position of padding, after which those of tokens begin (RoBERTa, MPNet); -1 where they begin with 0."""
    for name, module in made.named_modules():
        if name.rsplit(".", 1)[-1] == "position_embeddings" and getattr(module, "padding_idx", None) is not None:
            return int(module.padding_idx)
    return -1


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
    n_layers = 1 + max(layer_of(name) for name, _ in made.named_parameters())
    if settings.freeze_layers > n_layers:
        raise ConfigError(
            f"model.freeze_layers is {settings.freeze_layers}, and the encoder has {n_layers} layers of its own. Give as many at "
            "most, or model.freeze=all."
        )
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
def _reading(file: Path) -> Iterator[None]:
    """What transformers and safetensors raise of a damaged file has no common class."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise ConfigError(
            f"The encoder's file {file} cannot be read ({type(error).__name__}: {reason}). Copy the folder again, or save it "
            "again with save_pretrained."
        ) from error


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
