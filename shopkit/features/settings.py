"""Settings of the feature plan and of every built-in extractor. Imports nothing heavy: read for help texts and config checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from shopkit.errors import ConfigError
from shopkit.schema import Kind

Indicator = Literal["auto", "always", "never"]
TimePart = Literal["hour", "weekday", "day_of_month", "day_of_year", "elapsed"]


def _at_least(component: str, setting: str, value: float, least: float) -> None:
    if not value >= least:
        raise ConfigError(f"{component}.{setting} is {value!r}; it must be at least {least}.")


def parse_spec(spec: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    """A column's spec as `(extractor, settings)` pairs, in order.

    A spec is a name, `{name: …, settings}`, or a list of those, whose outputs stand side by side.

    Raises:
        ConfigError: anything else; names the place.
    """
    if isinstance(spec, str) and spec:
        return [(spec, {})]
    if isinstance(spec, Mapping):
        if not isinstance(spec.get("name"), str):
            raise ConfigError(f"{where} is {dict(spec)!r}, which has no name: write {{name: <extractor>, <setting>: <value>}}.")
        return [(spec["name"], {str(key): value for key, value in spec.items() if key != "name"})]
    if isinstance(spec, list | tuple) and spec:
        return [pair for item in spec for pair in parse_spec(item, where)]
    raise ConfigError(f"{where} is {spec!r}; write an extractor's name, {{name: …, <setting>: …}}, or a list of those.")


@dataclass
class FeaturePlan:
    """Which extractor reads which column."""

    numbers: Any = "auto"
    """Extractor(s) for number columns: `auto`, a name, `{name: …, <settings>}`, or a list of those, side by side."""
    strings: Any = "auto"
    """Extractor(s) for string columns."""
    times: Any = "auto"
    """Extractor(s) for time columns."""
    images: Any = "auto"
    """Extractor(s) for image columns."""
    columns: dict[str, Any] = field(default_factory=dict)
    """Column → extractor(s), for columns that want their own, e.g. `{price: {name: bucketize, n_bins: 20}}`."""
    types: dict[str, Kind] = field(default_factory=dict)
    """Column → `number`, `string` or `time`, where the inferred kind is not the meant one, e.g. integer codes."""
    ignore: list[str] = field(default_factory=list)
    """Columns to leave out, also if `columns` names them."""
    max_length: int = 256
    """Steps of a sequence that are read at most, in training as in the file; 0 reads all."""
    keep: Literal["latest", "earliest"] = "latest"
    """Which end of a longer sequence is read: `latest` (its last steps) or `earliest`."""
    max_one_hot: int = 32
    """`auto` one-hot encodes a string column with at most this many categories; above it gives the target's rate, and the id of
    the category where 20 rows have it."""
    min_piecewise: int = 8
    """`auto` uses piecewise-linear encoding for a number column with at least this many distinct values."""

    def __post_init__(self) -> None:
        self.chosen()
        _at_least("features", "max_length", self.max_length, 0)
        _at_least("features", "max_one_hot", self.max_one_hot, 0)
        _at_least("features", "min_piecewise", self.min_piecewise, 2)

    def chosen(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Place, extractor and settings of each choice that is not left to `auto`; raises `ConfigError` as `parse_spec` does."""
        specs = {f"features.{kind}": getattr(self, kind) for kind in ("numbers", "strings", "times", "images")}
        specs |= {f"features.columns.{column}": spec for column, spec in self.columns.items()}
        return [(path, *pair) for path, spec in specs.items() if spec != "auto" for pair in parse_spec(spec, path)]


@dataclass
class IdentitySettings:
    """A number as it is."""

    missing: Literal["keep", "zero"] = "keep"
    """`keep` leaves NaN for models that read it; `zero` writes 0."""
    indicator: Indicator = "never"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""


@dataclass
class StandardizeSettings:
    """(x − mean) / standard deviation."""

    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""


@dataclass
class QuantileSettings:
    """Rank among the training values, as a normal or uniform score."""

    n_quantiles: int = 256
    """Knots between which ranks are interpolated; fewer where there are fewer distinct values."""
    output: Literal["normal", "uniform"] = "normal"
    """Distribution of the result: `normal` (clipped at ±5.2) or `uniform` (0 to 1)."""
    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""

    def __post_init__(self) -> None:
        _at_least("quantile", "n_quantiles", self.n_quantiles, 2)


@dataclass
class Log1pSettings:
    """sign(x) · log(1 + |x|), then standardised."""

    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""


@dataclass
class BucketizeSettings:
    """The bin a number falls into."""

    n_bins: int = 16
    """Number of bins, unless `edges` are given; fewer where quantiles coincide."""
    edges: list[float] = field(default_factory=list)
    """Inner edges, ascending; a value equal to an edge falls into the upper bin."""
    strategy: Literal["quantile", "uniform"] = "quantile"
    """`quantile` (equal counts) or `uniform` (equal widths)."""
    encode: Literal["ids", "one_hot"] = "ids"
    """`ids` (0 missing, 1 never given, 2 first bin, …) or `one_hot` (missing is all zeros)."""

    def __post_init__(self) -> None:
        _at_least("bucketize", "n_bins", self.n_bins, 2)
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ConfigError(f"bucketize.edges is {list(self.edges)!r}; edges must ascend.")


@dataclass
class PiecewiseLinearSettings:
    """How far a number has filled each of its bins (Gorishniy et al., 2022)."""

    n_bins: int = 48
    """Number of bins; fewer where quantiles coincide."""
    edges: Literal["quantile", "target"] = "quantile"
    """`quantile` puts equal counts into the bins; `target` puts edges where the target's mean changes most (a greedy tree)."""
    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""

    def __post_init__(self) -> None:
        _at_least("piecewise_linear", "n_bins", self.n_bins, 1)


@dataclass
class ImputeSettings:
    """A number with missing values filled in, unscaled."""

    strategy: Literal["mean", "median", "constant"] = "median"
    """What fills in: `mean`, `median` or `constant`."""
    value: float = 0.0
    """The filling of strategy `constant`."""
    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""


@dataclass
class VocabularySettings:
    """The id of a category: 0 missing, 1 unknown, then by falling count."""

    min_count: int = 1
    """Training rows a category must have; rarer ones are unknown."""
    max_size: int = 100_000
    """Most categories to keep, the most frequent first."""

    def __post_init__(self) -> None:
        _at_least("vocabulary", "min_count", self.min_count, 1)
        _at_least("vocabulary", "max_size", self.max_size, 1)


@dataclass
class OneHotSettings:
    """A 0/1 position for each category; unknown is all zeros, missing has a position if the training part had it."""

    min_count: int = 1
    """Training rows a category must have; rarer ones are all zeros."""
    max_size: int = 256
    """Most categories to keep, the most frequent first."""

    def __post_init__(self) -> None:
        _at_least("one_hot", "min_count", self.min_count, 1)
        _at_least("one_hot", "max_size", self.max_size, 1)


@dataclass
class TargetRateSettings:
    """The target's mean in the category, drawn towards the overall mean; training rows get values fitted without their fold."""

    smoothing: float = 20.0
    """Rows' worth of the overall mean added to every category."""
    n_folds: int = 5
    """Folds for the training rows' own values."""
    max_size: int = 100_000
    """Most categories to keep, the most frequent first; others get the overall mean."""

    def __post_init__(self) -> None:
        _at_least("target_rate", "smoothing", self.smoothing, 0)
        _at_least("target_rate", "n_folds", self.n_folds, 2)
        _at_least("target_rate", "max_size", self.max_size, 1)


@dataclass
class TimePartsSettings:
    """Parts of a UTC time; the cyclic ones as sine and cosine."""

    parts: list[TimePart] = field(default_factory=lambda: ["hour", "weekday", "day_of_year"])
    """Any of `hour`, `weekday`, `day_of_month`, `day_of_year` (cyclic) and `elapsed` (time since the training mean, scaled)."""
    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError(f"time_parts.parts is empty; name at least one of {', '.join(get_args(TimePart))}.")
        if len(set(self.parts)) < len(self.parts):
            raise ConfigError(f"time_parts.parts is {list(self.parts)!r}; name each part once.")


@dataclass
class TextSettings:
    """How a text is split into tokens; as in scikit-learn's vectorizers, which have no `letter`."""

    extractor: ClassVar[str] = "text"
    """Whose settings they are, for messages."""
    analyzer: Literal["word", "char", "char_wb", "letter"] = "word"
    """`word` (two letters, digits or underscores at least), `char` (what languages without spaces want), `char_wb` (characters
    within words, with a blank before and after each), or `letter` (letters, digits and underscores, as if nothing stood between
    them: beside `char`, it knows a phrase again whatever its punctuation)."""
    lowercase: bool = True
    """Lower-case first, character by character."""
    max_characters: int = 10_000
    """Characters of a text that are read, in training as in the file, by pieces of 100; where words are read, a piece ends with
    one and is shorter. 0 reads all."""

    def __post_init__(self) -> None:
        _at_least(self.extractor, "max_characters", self.max_characters, 0)


@dataclass
class NgramSettings(TextSettings):
    """Runs of neighbouring tokens."""

    ngram_range: list[int] = field(default_factory=lambda: [1, 2])
    """Shortest and longest run of tokens that is a term, e.g. `[1, 2]`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.ngram_range) != 2 or not 1 <= self.ngram_range[0] <= self.ngram_range[1]:
            raise ConfigError(
                f"{self.extractor}.ngram_range is {list(self.ngram_range)!r}; give the shortest and the longest n-gram, "
                "e.g. [1, 2]."
            )


@dataclass
class TfidfSettings(NgramSettings):
    """Terms of a text, weighed by how often it has them and how rare they are (tf-idf)."""

    extractor = "tfidf"
    min_df: int = 2
    """Training texts that must have a term for it to be kept."""
    max_df: float = 1.0
    """Largest share of the training texts that may have a term for it to be kept."""
    max_features: int = 0
    """Most terms to keep, those that occur most often first; 0 keeps all."""
    sublinear_tf: bool = False
    """1 + log of a term's count in place of the count."""
    use_idf: bool = True
    """Weigh rare terms more."""
    smooth_idf: bool = True
    """Reckon idf as if one text more had every term."""
    norm: Literal["l2", "l1", "none"] = "l2"
    """Scale each text's weights to length 1 (`l2`) or sum 1 (`l1`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least("tfidf", "min_df", self.min_df, 1)
        _at_least("tfidf", "max_features", self.max_features, 0)
        if not 0 < self.max_df <= 1:
            raise ConfigError(f"tfidf.max_df is {self.max_df!r}; it is a share of the texts, above 0 and at most 1.")


@dataclass
class HashedNgramsSettings(NgramSettings):
    """Terms of a text by their hash: no vocabulary to learn, and collisions where buckets are few."""

    extractor = "hashed_ngrams"
    n_bits: int = 18
    """There are 2 to this power buckets."""
    alternate_sign: bool = True
    """Let half of the terms count negative, so that collisions cancel out rather than add up."""
    norm: Literal["l2", "l1", "none"] = "l2"
    """Scale each text's weights to length 1 (`l2`) or sum 1 (`l1`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.n_bits <= 30:
            raise ConfigError(f"hashed_ngrams.n_bits is {self.n_bits!r}; it must be from 1 to 30.")


@dataclass
class Word2vecSettings(TextSettings):
    """The mean of a text's word vectors, learnt from the training part by skip-gram with negative sampling."""

    extractor = "word2vec"
    dim: int = 64
    """Width of a vector."""
    window: int = 5
    """Words to either side that a word is to predict, at most: each draws its own, from 1."""
    min_count: int = 5
    """Occurrences a word must have; rarer ones are left out."""
    max_size: int = 50_000
    """Most words to keep, the most frequent first."""
    negatives: int = 5
    """Words drawn as not seen, for each that was."""
    epochs: int = 5
    """Times the training part is read."""
    sample: float = 1e-3
    """Share of the text above which a word is skipped at random, the more frequent the more often; 0 skips none."""
    lr: float = 0.05
    """Learning rate at first; it falls to nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dim", "window", "min_count", "max_size", "negatives", "epochs"):
            _at_least("word2vec", name, getattr(self, name), 1)
        _at_least("word2vec", "sample", self.sample, 0)
        if not self.lr > 0:
            raise ConfigError(f"word2vec.lr is {self.lr!r}; it must be above 0.")


@dataclass
class WordpieceSettings:
    """The word pieces of a text, as BERT reads them; texts with these settings are joined: `[CLS] a [SEP] b [SEP]`."""

    vocabulary: str = "minilm"
    """Whose pieces, in the words of `model.encoder`: `minilm` (English), the folder of a Hugging Face encoder, or `scratch`,
    those learned from the training part."""
    vocabulary_size: int = 8000
    """Pieces to learn at most, with `scratch`."""
    min_count: int = 2
    """Occurrences a pair of pieces must have to be joined into one, with `scratch`."""
    lowercase: bool = True
    """Lower-case and leave out accents, with `scratch`; an encoder has its own rule."""
    max_length: int = 128
    """Tokens of a row that are read at most, `[CLS]` and `[SEP]` included. Of several texts, the longest is cut first."""
    keep: Literal["start", "end"] = "start"
    """Which end of a longer text is read."""

    def __post_init__(self) -> None:
        if not self.vocabulary:
            raise ConfigError("wordpiece.vocabulary is empty; write minilm, the folder of an encoder, or scratch.")
        _at_least("wordpiece", "vocabulary_size", self.vocabulary_size, 10)
        _at_least("wordpiece", "min_count", self.min_count, 1)
        _at_least("wordpiece", "max_length", self.max_length, 8)


@dataclass
class CharactersSettings:
    """The characters of a text as ids; texts with these settings are joined, each with an end of its own."""

    min_count: int = 2
    """Occurrences a character must have in the training part; rarer ones are unknown."""
    max_size: int = 10_000
    """Most characters to keep, the most frequent first."""
    lowercase: bool = True
    """Read upper case as lower case."""
    max_length: int = 256
    """Characters of a row that are read at most. Of several texts, the longest is cut first."""
    keep: Literal["start", "end"] = "start"
    """Which end of a longer text is read."""

    def __post_init__(self) -> None:
        _at_least("characters", "min_count", self.min_count, 1)
        _at_least("characters", "max_size", self.max_size, 1)
        _at_least("characters", "max_length", self.max_length, 8)
