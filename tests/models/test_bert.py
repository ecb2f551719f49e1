"""BERT: what is read from a folder, what is trained, and that file, batch and single rows agree."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Arrays
from shopkit.models.bert import Bert, Pooling
from shopkit.models.settings import BertSettings, MLPSettings
from shopkit.models.to_onnx import to_onnx
from shopkit.runtime.artifact import open_session
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.settings import MulticlassSettings
from shopkit.testing.data import bag, feature_spec, tokens
from shopkit.training.fit import fit
from shopkit.training.scores import model_scores
from shopkit.training.settings import TrainerSettings

N_TOKENS = 30
NAMES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *map(str, range(4, N_TOKENS)))
TOKENS = FeatureBlock("review", "wordpiece", "tokens", 0, 1, (), cardinality=N_TOKENS, shape=(12,))
TEXT = FeatureSpec((TOKENS,))
JOINED = FeatureSpec((*feature_spec(reads={"features:bags"}).blocks, TOKENS))
SMALL = {
    "encoder": "scratch",
    "hidden_dim": 8,
    "heads": 2,
    "layers": 2,
    "head": MLPSettings(hidden=[4], members=2, category_dim=2),
}


def built(spec: FeatureSpec = TEXT, **settings) -> Bert:
    torch.manual_seed(0)
    model = Bert(BertSettings(**{**SMALL, **settings}), spec, 2).eval()
    with torch.no_grad():  # as if it had been trained
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def features(lengths: list[int], spec: FeatureSpec = TEXT) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    found = tokens(N_TOKENS, np.array(lengths), rng)
    if spec is JOINED:
        found |= bag(spec.n_bag, np.array(lengths), rng)
        found["dense"] = rng.normal(size=(len(lengths), spec.n_dense)).astype(np.float32)
        found["ids"] = np.column_stack([rng.integers(0, size, len(lengths)) for size in spec.cardinalities])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder as Hugging Face saves one."""
    path = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(3)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=N_TOKENS, max_position_embeddings=16, **sizes)).save_pretrained(path)
    return path


@pytest.mark.parametrize("spec", [TEXT, JOINED], ids=["text", "joined"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "attention"])
def test_batch_file_and_single_rows_agree(pooling: str, spec: FeatureSpec) -> None:
    model = built(spec, pooling=pooling, normalize=pooling == "mean")
    session = open_session(to_onnx(model, spec).SerializeToString())
    batch = features([5, 0, 1, 12, 3], spec)
    scores = model_scores(model, batch)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(session.run(["scores"], batch)[0], scores, atol=1e-5)
    wide = {name: np.pad(v, [(0, 0), (0, 9)]) if name in ("tokens", "bag_ids", "bag_weights") else v for name, v in batch.items()}
    np.testing.assert_allclose(session.run(["scores"], wide)[0], scores, atol=1e-5)
    for i in range(5):
        alone = {name: values[i : i + 1] for name, values in batch.items()}
        length = max(1, int(batch["token_lengths"][i]))
        alone["tokens"] = alone["tokens"][:, :length]
        np.testing.assert_allclose(session.run(["scores"], alone)[0][0], scores[i], atol=1e-5)


def test_an_encoder_from_a_folder_is_the_one_that_was_saved(folder: Path) -> None:
    model = Bert(BertSettings(encoder=str(folder)), TEXT, 2).eval()
    saved = BertModel.from_pretrained(folder).eval()
    batch = features([12, 12])
    given = torch.from_numpy(batch["tokens"])
    inside = torch.ones_like(given, dtype=torch.bool)
    with torch.no_grad():
        states = model._read(given, inside).last_hidden_state
        torch.testing.assert_close(states, saved(given, inside.long()).last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", ["folder", "scratch"])
def test_two_texts_of_a_row_are_of_two_types(encoder: str, folder: Path) -> None:
    block = FeatureBlock("title", "wordpiece", "tokens", 0, 1, NAMES, cardinality=N_TOKENS, shape=(12,))
    pair = FeatureSpec((block, replace(block, column="review")))
    model = built(pair) if encoder == "scratch" else Bert(BertSettings(encoder=str(folder)), pair, 2).eval()
    given = torch.tensor([[2, 7, 8, 3, 9, 3, 0, 0], [2, 3, 9, 9, 9, 9, 9, 3]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1, 1]])
    inside = torch.arange(8) < torch.tensor([[6], [8]])
    with torch.no_grad():
        states = model._read(given, inside).last_hidden_state
        expected = model.encoder(given, inside.long(), token_type_ids=types).last_hidden_state
        alone = model.encoder(given, inside.long()).last_hidden_state
    torch.testing.assert_close(states[inside], expected[inside], atol=1e-5, rtol=1e-5)
    assert (states - alone)[inside].abs().max() > 1e-3
    batch = {"tokens": given.numpy(), "token_lengths": np.array([6, 8])}
    session = open_session(to_onnx(model, pair).SerializeToString())
    np.testing.assert_allclose(session.run(["scores"], batch)[0], model_scores(model, batch), atol=1e-5)


def test_the_weights_are_in_the_file_not_in_the_folder(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    model = Bert(BertSettings(encoder=str(copy)), TEXT, 2).eval()
    shutil.rmtree(copy)
    batch = features([3, 1])
    session = open_session(to_onnx(model, TEXT).SerializeToString())
    np.testing.assert_allclose(session.run(["scores"], batch)[0], model_scores(model, batch), atol=1e-5)
    with pytest.raises(ConfigError, match=rf"The encoder '{copy}' is not a folder.* \(resume=true\) reads the folder again"):
        Bert(BertSettings(encoder=str(copy)), TEXT, 2)


def test_folders_that_do_not_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"The encoder '/nowhere' is not a folder"):
        Bert(BertSettings(encoder="/nowhere"), TEXT, 1)
    with pytest.raises(ConfigError, match=r"has no config.json: it is not the folder of a Hugging Face encoder"):
        Bert(BertSettings(encoder=str(tmp_path)), TEXT, 1)
    shutil.copy(folder / "config.json", tmp_path)
    shutil.copy(folder / "model.safetensors", tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"has no weights: no file model\.safetensors"):
        Bert(BertSettings(encoder=str(tmp_path)), TEXT, 1)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", b"{not json", r"config\.json cannot be read \(OSError: "),
        ("config.json", b'{"model_type": "no such model"}', r"config\.json cannot be read \(ValueError: "),
        ("model.safetensors", b"junk", r"model\.safetensors cannot be read \(SafetensorError: "),
        ("tokenizer.json", b'{"model": {"ty', r"tokenizer\.json is not JSON: .*\. It is damaged; copy the folder again"),
        ("tokenizer.json", b"[]", r"tokenizer\.json is not an object of JSON but list"),
        ("tokenizer.json", b"{}", r"tokenizer\.json is not a tokenizer as Hugging Face saves one \(KeyError: 'model'\)"),
        ("vocab.txt", b"\xff\xfe", r"vocab\.txt cannot be read: .*It is damaged"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, tmp_path: Path, file: str, content: bytes, message: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / file).write_bytes(content)
    named = FeatureSpec((replace(TOKENS, names=NAMES),))
    with pytest.raises(ConfigError, match=rf"{copy}.*{message}"):
        Bert(BertSettings(encoder=str(copy)), named, 1)


def test_weights_of_another_model_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    save_file({n: w for n, w in weights.items() if "layer.1" not in n}, copy / "model.safetensors", {"format": "pt"})
    wanted = r"lacks 16 of the encoder's weights, .*: encoder\.layer\.1\.attention\..* and others\. It is the file"
    with pytest.raises(ConfigError, match=wanted):
        Bert(BertSettings(encoder=str(copy)), TEXT, 1)
    save_file({n: w for n, w in weights.items() if "pooler" not in n}, copy / "model.safetensors", {"format": "pt"})
    Bert(BertSettings(encoder=str(copy)), TEXT, 1)


def test_another_vocabulary_of_the_same_size(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "vocab.txt").write_text("\n".join(NAMES) + "\n")
    Bert(BertSettings(encoder=str(copy)), FeatureSpec((replace(TOKENS, names=NAMES),)), 1)
    turned = (*NAMES[:4], *NAMES[:3:-1])
    wanted = (
        rf"another vocabulary than wordpiece gives for 'review': id 4 is '4' in its folder, and '29' here.*vocabulary: {copy}}}"
    )
    with pytest.raises(ConfigError, match=wanted):
        Bert(BertSettings(encoder=str(copy)), FeatureSpec((replace(TOKENS, names=turned),)), 1)


def test_a_tokenizer_that_does_not_match_the_encoder(folder: Path) -> None:
    other = FeatureSpec((FeatureBlock("review", "characters", "tokens", 0, 1, (), cardinality=31, shape=(12,)),))
    with pytest.raises(ConfigError, match=r"reads 30 token ids, and characters gives 31 for 'review': another vocabulary"):
        Bert(BertSettings(encoder=str(folder)), other, 1)
    longer = FeatureSpec((FeatureBlock("review", "wordpiece", "tokens", 0, 1, (), cardinality=N_TOKENS, shape=(17,)),))
    with pytest.raises(ConfigError, match=r"reads 16 tokens at most, and wordpiece gives up to 17: set its max_length to 16"):
        Bert(BertSettings(encoder=str(folder)), longer, 1)


def test_without_tokens_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"model=bert reads tokens, and no feature column gives any"):
        Bert(BertSettings(**SMALL), feature_spec(), 1)


def test_without_the_packages_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_) -> None:
        raise ModuleNotFoundError("No module named 'transformers'", name="transformers")

    monkeypatch.setattr("shopkit.models.bert_encoder._scratch", absent)
    with pytest.raises(ConfigError, match=r"needs the packages transformers and peft, and transformers is missing: pip install"):
        built()


def test_adapters_are_trained_alone_and_multiplied_in_for_the_file() -> None:
    model = built(lora_rank=2)
    trained = {name for name, parameter in model.encoder.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    batch = features([5, 2])
    graph = to_onnx(model, TEXT)
    assert not any("lora" in tensor.name for tensor in graph.graph.initializer)
    session = open_session(graph.SerializeToString())
    np.testing.assert_allclose(session.run(["scores"], batch)[0], model_scores(model, batch), atol=1e-5)


def test_adapters_of_layers_that_are_not_there() -> None:
    with pytest.raises(
        ConfigError, match=r"model.lora_targets is \['wrong'\], but the encoder has no such layer. It has dense, key"
    ):
        built(lora_rank=2, lora_targets=["wrong"])


@pytest.mark.parametrize(
    ("settings", "frozen"),
    [
        ({}, set()),
        ({"freeze": "embeddings"}, {-1}),
        ({"freeze_layers": 1}, {-1, 0}),
        ({"freeze": "all"}, {-1, 0, 1}),
    ],
)
def test_what_is_frozen(settings: dict, frozen: set[int]) -> None:
    from shopkit.models.bert_encoder import layer_of

    model = built(**settings)
    assert {layer_of(name) for name, parameter in model.encoder.named_parameters() if not parameter.requires_grad} == frozen
    groups = model.parameter_groups(1e-2, 0.1)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters() if parameter.requires_grad)


def test_more_layers_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(ConfigError, match=r"model.freeze_layers is 3, and the encoder has 2 layers of its own"):
        built(freeze_layers=3)


def test_tokens_without_a_first_one_have_no_vector_of_it() -> None:
    characters = replace(TOKENS, extractor="characters", names=("[PAD]", "[UNK]", "[SEP]", *NAMES[3:]))
    with pytest.raises(ConfigError, match=r"model.pooling is cls, .* \[CLS\], and characters puts none before 'review'"):
        built(FeatureSpec((characters,)), pooling="cls")
    built(FeatureSpec((characters,)), pooling="max")


def test_a_frozen_encoder_drops_nothing_while_the_rest_is_trained() -> None:
    model = built(freeze="all").train()
    assert model.dropout.training
    assert not model.encoder.training


def test_the_rate_falls_from_layer_to_layer() -> None:
    model = built(JOINED, encoder_lr=1e-3, layer_decay=0.5)
    rate = {id(parameter): group["lr"] for group in model.parameter_groups(1e-2, 0.1) for parameter in group["params"]}
    encoder = model.encoder
    assert rate[id(encoder.encoder.layer[1].output.dense.weight)] == 1e-3
    assert rate[id(encoder.encoder.layer[0].output.dense.weight)] == 5e-4
    assert rate[id(encoder.embeddings.word_embeddings.weight)] == 2.5e-4
    assert rate[id(model.output.weight)] == rate[id(model.bag.table)] == 1e-2
    assert sorted(rate) == sorted(id(parameter) for parameter in model.parameters())


def test_attention_is_a_share_of_each_token_of_the_row() -> None:
    batch = {name: torch.from_numpy(values) for name, values in features([4, 12]).items()}
    for pooling in ("cls", "mean", "attention", "max"):
        model = built(pooling=pooling)
        with torch.no_grad():
            before = model(batch)
            looked = model.attention(batch)
            torch.testing.assert_close(model(batch), before)
        torch.testing.assert_close(looked.sum(1), torch.ones(2))
        assert float(looked[0, 4:].abs().max()) == 0


def test_pooling_looks_at_the_tokens_of_the_row_only() -> None:
    states, inside = torch.tensor([[[1.0, 5.0], [3.0, 4.0], [100.0, 100.0]]]), torch.tensor([[True, True, False]])
    assert Pooling("cls", 2)(states, inside).tolist() == [[1.0, 5.0]]
    assert Pooling("mean", 2)(states, inside).tolist() == [[2.0, 4.5]]
    assert Pooling("max", 2)(states, inside).tolist() == [[3.0, 5.0]]
    for kind in ("mean", "max", "attention"):
        assert Pooling(kind, 2)(states, torch.zeros_like(inside)).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("settings", "spec", "precision"),
    [
        ({}, TEXT, "bf16-mixed"),
        ({"lora_rank": 2, "lora_targets": ["query", "key", "value", "dense"]}, TEXT, "32-true"),
        ({}, JOINED, "32-true"),
    ],
    ids=["mixed precision", "adapters", "joined"],
)
def test_it_learns_which_token_a_text_has(tmp_path: Path, settings: dict, spec: FeatureSpec, precision: str) -> None:
    rng = np.random.default_rng(0)
    batch = features(list(rng.integers(1, 9, 600)), spec)
    target = (batch["tokens"] == 3).any(1).astype(np.int64)
    task = Multiclass(MulticlassSettings())
    task.fit_target(np.where(target, "b", "a").astype(object))
    torch.manual_seed(0)
    model = Bert(BertSettings(**{**SMALL, "layers": 1, "encoder_lr": 1e-2, "pooling": "max", **settings}), spec, task.n_outputs)
    part = Arrays(batch, target)
    trainer = TrainerSettings(
        max_epochs=12, batch_size=50, accumulate=3, accelerator="cpu", threads=1, lr=1e-2, precision=precision
    )
    result = fit(model, task, part, part, trainer, folder=tmp_path, seed=0)
    assert result.history[-1]["validation_loss"] < 0.8 * result.history[0]["train_loss"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": ""}, r"model.encoder is empty; write minilm"),
        ({"hidden_dim": 0}, r"model.hidden_dim is 0; it must be at least 1"),
        ({"encoder": "scratch", "hidden_dim": 10}, r"model.hidden_dim is 10, which model.heads \(4\) must divide"),
        ({"layers": 3}, r"model.layers is 3, but it shapes an encoder from scratch, and model.encoder is minilm, which has its"),
        ({"encoder": "bert", "hidden_dim": 64}, r"model.hidden_dim is 64, but it .* and model.encoder is bert"),
        ({"heads": 2}, r"model.heads is 2, but it shapes an encoder from scratch"),
        ({"lora_rank": -1}, r"model.lora_rank is -1; it must be at least 0"),
        ({"dropout": 1.0}, r"model.dropout is 1; it must be from 0 to below 1"),
        ({"layer_decay": 0.0}, r"model.layer_decay is 0; it must be above 0"),
        ({"encoder_lr": 0.0}, r"model.encoder_lr is 0; it must be above 0, or auto"),
        ({"lora_rank": 2, "lora_targets": []}, r"model.lora_targets is empty"),
    ],
)
def test_settings_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BertSettings(**settings)
