"""Encoders of other classes than BERT's, as Hugging Face saves them: the same answers as they give there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModel

from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.bert import Bert
from shopkit.models.settings import BertSettings
from shopkit.models.to_onnx import to_onnx
from shopkit.runtime.artifact import open_session
from shopkit.training.scores import model_scores

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz")
N_TOKENS, LONGEST = len(VOCABULARY), 20
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CLASSES: dict[str, dict[str, Any]] = {
    "Bert": SIZES,
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "Electra": {**SIZES, "embedding_size": 8},
    "Albert": {**SIZES, "embedding_size": 8},
    # Their positions begin after that of padding.
    "MPNet": SIZES,
    "Roberta": SIZES,
}


def saved(name: str, folder: Path, **settings: Any) -> Path:
    """An encoder with random weights, and its tokenizer."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(vocab_size=N_TOKENS, **{**CLASSES[name], **settings})
    model = getattr(transformers, f"{name}Model")(config)
    with torch.no_grad():  # as large as trained ones: what is wrong would show
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder


def spec(longest: int = LONGEST - 2) -> FeatureSpec:
    return FeatureSpec((FeatureBlock("t", "wordpiece", "tokens", 0, 1, VOCABULARY, cardinality=N_TOKENS, shape=(longest,)),))


# 1, the default of the last two, is [UNK] here: a folder may well be so.
@pytest.mark.parametrize(("name", "padding"), [*((name, 0) for name in CLASSES), ("MPNet", 1), ("Roberta", 1)])
def test_it_answers_as_it_does_at_home(name: str, padding: int, tmp_path: Path) -> None:
    folder = saved(name, tmp_path, max_position_embeddings=LONGEST, pad_token_id=padding)
    model = Bert(BertSettings(encoder=str(folder)), spec(), 2).eval()
    home = AutoModel.from_pretrained(folder).eval()
    tokens = torch.tensor([[2, 7, 1, 9, 30, 3], [2, 8, 3, 0, 0, 0]])
    lengths = torch.tensor([6, 3])
    inside = torch.arange(6) < lengths[:, None]
    with torch.no_grad():
        ours = model._read(tokens, inside).last_hidden_state
        for row, length in enumerate(lengths.tolist()):
            theirs = home(input_ids=tokens[row : row + 1, :length], attention_mask=torch.ones(1, length)).last_hidden_state
            torch.testing.assert_close(ours[row : row + 1, :length], theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["DistilBert", "Roberta"])
def test_the_file_answers_as_the_model_however_wide_the_padding(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path, max_position_embeddings=LONGEST)
    model = Bert(BertSettings(encoder=str(folder)), spec(), 2).eval()
    session = open_session(to_onnx(model, spec()).SerializeToString())
    batch = {"tokens": np.array([[2, 7, 1, 9, 30, 3], [2, 8, 3, 0, 0, 0]]), "token_lengths": np.array([6, 3])}
    wide = {**batch, "tokens": np.pad(batch["tokens"], [(0, 0), (0, 2 * LONGEST)])}
    for fed in (batch, wide):
        np.testing.assert_allclose(session.run(["scores"], fed)[0], model_scores(model, batch), atol=1e-5)


@pytest.mark.parametrize("name", CLASSES)
def test_dropout_is_the_models(name: str, tmp_path: Path) -> None:
    model = Bert(BertSettings(encoder=str(saved(name, tmp_path)), dropout=0.37), spec(), 2)
    shares = {module.p for module in model.encoder.modules() if isinstance(module, torch.nn.Dropout)}
    assert shares == {0.37}
    looked = model.eval().attention({"tokens": torch.tensor([[2, 7, 3]]), "token_lengths": torch.tensor([3])})
    torch.testing.assert_close(looked.sum(1), torch.ones(1))


def test_positions_that_padding_takes_are_not_there_for_tokens(tmp_path: Path) -> None:
    folder = saved("Roberta", tmp_path, max_position_embeddings=LONGEST, pad_token_id=1)
    with pytest.raises(ConfigError, match=r"reads 18 tokens at most, and wordpiece gives up to 19: set its max_length to 18"):
        Bert(BertSettings(encoder=str(folder)), spec(19), 2)


def test_layers_that_are_one_cannot_be_frozen_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.freeze_layers is 1, and the encoder has 0 layers of its own"):
        Bert(BertSettings(encoder=str(saved("Albert", tmp_path)), freeze_layers=1), spec(), 2)
