"""What `table.py` shows of each result: tables, their columns, and where the figures of a column stand."""

from __future__ import annotations

from typing import NamedTuple

SCORE, TIMES, WHOLE, SHORT, FINE = "{:.4f}", "{:.2f}×", "{:,.0f}", "{:,.1f}", "{:.2f}"
MIB = 2**20


class Measure(NamedTuple):
    """What stands in one column of a table, or in several, and where a result has it."""

    head: str
    """Name and unit; `{column}` is what the path found there."""
    path: str
    """Keys to it. `{a name}` stands for any text: what it found names the row, in a column of that name, or the column itself
    where it is `{column}`."""
    form: str = SCORE
    per: float = 1
    """What figures are divided by."""
    lacking: str = "–"
    """What stands where the result has none."""


M = Measure
Grid = tuple[Measure, ...]
"""A table. Measures of one head share a column."""
EAGER = (
    M("eager torch, µs", "microseconds/{what}/eager torch", SHORT),
    M("eager torch, µs", "microseconds/{what}/tokenizer and eager torch", SHORT),
)
EXPORTED = (
    *EAGER,
    M("exported, µs", "microseconds/{what}/exported", SHORT),
    M("exported, µs", "microseconds/{what}/exported file", SHORT),
    M("with features and decision, µs", "microseconds/{what}/whole file", SHORT),
    M("times as fast", "microseconds/{what}/times as fast", TIMES),
)
OF_TEXTS = (M("accuracy", "results/{who}/accuracy"), M("macro F1", "results/{who}/macro F1"))
OF_REVIEWS = tuple(
    M(head, f"results/{{who}}/{key}") for head, key in (("accuracy", "accuracy"), ("F1", "f1"), ("AUROC", "auroc"))
)


def _ranked(k: int, recall: str) -> Grid:
    heads = {f"recall_{k}": f"{recall}@{k}", f"ndcg_{k}": f"nDCG@{k}", f"mrr_{k}": f"MRR@{k}"}
    values = (M(head, f"results/{{data}}/{key}") for key, head in heads.items())
    return (*values, *(M(f"{head}, aim", f"results/{{data}}/aims/{key}") for key, head in heads.items()))


SHOWN: dict[str, tuple[Grid | str, ...]] = {
    "behaviour_lstm": ((M("AUROC, {column}", "results/{sequences beside}/auroc/{column}"),), "verdict"),
    "bert": (EXPORTED,),
    "bert_int8": (
        (M("figure", "ratios/{what}", FINE),),
        (M("accuracy", "files/{file}/accuracy"), M("MiB", "files/{file}/bytes", SHORT, MIB)),
        (
            *EAGER,
            *(M(f"{file}, µs", f"microseconds/{{what}}/{file}", SHORT) for file in ("32 bits", "32 bits, optimized", "8 bits")),
        ),
    ),
    "bert_intents": (OF_TEXTS,),
    "bert_intents_few_shot": (OF_TEXTS,),
    "block_shuffle": (
        (
            M("AUROC", "ways/{rows}/auroc"),
            M("average precision", "ways/{rows}/average_precision"),
            M("log loss", "ways/{rows}/log_loss"),
        ),
        (M("seeds", "seeds", WHOLE), M("epochs", "epochs", WHOLE), M("times the shop", "factor", WHOLE)),
    ),
    "cnn": (EXPORTED,),
    "estimator_memory": (
        (
            M("each", "models/{model}/of each", "{}"),
            M("peak, MiB", "models/{model}/few/peak", WHOLE, MIB),
            M("4 times as many, MiB", "models/{model}/many/peak", WHOLE, MIB),
            M("bytes for each", "models/{model}/bytes", WHOLE),
            M("as it says itself", "models/{model}/bytes said", WHOLE),
        ),
    ),
    "fashion_mnist": (
        (
            *(
                M(head, f"fashion_mnist/{{experiment}}/{key}")
                for head, key in (("accuracy", "accuracy"), ("low", "low"), ("high", "high"))
            ),
            M("aim", "fashion_mnist/{experiment}/aim"),
            M("parameters", "fashion_mnist/{experiment}/parameters", WHOLE),
            M("training, minutes", "fashion_mnist/{experiment}/training minutes", SHORT),
        ),
        (M("accuracy", "published/{published elsewhere}", "{:.3f}"),),
    ),
    "features": ((M("seconds", "seconds/{what}", FINE),), (M("scikit-learn / shopkit, transforming", "ratio", TIMES),)),
    "gbdt": (
        (M("AUROC", "auroc_{LightGBM, called}"), M("trees", "trees_{LightGBM, called}", WHOLE)),
        (
            M("LightGBM, one-row DataFrame, µs", "lightgbm_dataframe_us", SHORT),
            M("Predictor, dict, µs", "predictor_dict_us", SHORT),
            M("the file, arrays, µs", "session_us", SHORT),
            M("LightGBM / Predictor", "speed_up_predictor", TIMES),
            M("LightGBM / the file", "speed_up", TIMES),
        ),
    ),
    "gpu": (
        (M("times", "ratios/{what}", TIMES),),
        (M("left out", "left_out/{who}", "{}"),),
        (
            M("rows a second", "training/{what}/rows a second", WHOLE),
            M("share of the bf16 peak", "training/{what}/share of the bf16 peak", "{:.1%}"),
        ),
    ),
    "inference": (
        (M("figure", "ratios/{what}", FINE),),
        (
            M("1 row, µs", "microseconds/session.run, 1 rows/{session.run}", SHORT),
            M("4,096 rows, µs", "microseconds/session.run, 4096 rows/{session.run}", SHORT),
        ),
        (
            M("1 row, µs", "microseconds/one row/{from a person's data}", SHORT),
            M("4,096 rows, µs", "microseconds/4096 rows/{from a person's data}", SHORT),
        ),
    ),
    "intents_linear": (OF_TEXTS,),
    "load_checks": ((M("{column}, ms", "files/{file}/ms/{column}", FINE),),),
    "lstm": (EXPORTED,),
    "lstm_training": (
        (
            M("torch, packed rows, ms", "microseconds/{what}/torch", SHORT, 1e3),
            M("shopkit, ms", "microseconds/{what}/shopkit", SHORT, 1e3),
            M("times as fast", "microseconds/{what}/times as fast", TIMES),
        ),
    ),
    "next_item": (
        (
            M("nDCG@10", "experiments/{experiment}/results/{model}/ndcg_10"),
            M("recall@10", "experiments/{experiment}/results/{model}/recall_10"),
            M("nDCG@10, the experiment's model minus this", "experiments/{experiment}/model minus/{model}/ndcg_10", "{:+.4f}"),
        ),
    ),
    "online_shoppers": ((M("AUROC", "folds/{who}/auroc"), M("average precision", "folds/{who}/average_precision")),),
    "predict_rows": (
        (
            M("{column}, rows a second", "figures/{who}, {column}/rows_per_second", WHOLE),
            M("{column}, peak, MB", "figures/{who}, {column}/peak_mb", WHOLE),
        ),
    ),
    "rechub": ((M("{column}, µs", "microseconds/{column}/{who}", SHORT),),),
    "recommend_beauty": (
        (
            M("HR@10", "models/{model}/test/recall_10"),
            M("nDCG@10", "models/{model}/test/ndcg_10"),
            M("training, CPU s", "models/{model}/fit_cpu_seconds", FINE),
            M("one history, ms", "models/{model}/one_row_ms", FINE),
            M("MiB", "models/{model}/file_bytes", SHORT, MIB),
        ),
    ),
    "recommend_memory": (
        (
            M("interactions", "results/{data}/interactions", WHOLE),
            M("peak, MiB", "results/{data}/peak", WHOLE, MIB),
            M("of it beyond imports, MiB", "results/{data}/beyond", WHOLE, MIB),
        ),
        (
            M("10× / 1×, beyond imports", "results/ratio", FINE),
            M("at most", "results/aim", FINE),
            M("10× / 1×, of the process", "results/ratio_of_process", FINE),
        ),
    ),
    "recommend_sessions": ((M("P@20", "data/{data}/{model}/test/recall_20"), M("MRR@20", "data/{data}/{model}/test/mrr_20")),),
    "review_recommend": ((M("AUROC", "figures/{read}/AUROC"), M("macro F1", "figures/{read}/macro F1")),),
    "reviews_zh": (
        (
            *OF_REVIEWS,
            M("share of the network", "results/{who}/share of the network", FINE),
            M("share of the terms", "results/{who}/share of the terms", FINE),
            M("training, s", "results/{who}/seconds", WHOLE),
            M("MiB", "results/{who}/bytes", SHORT, MIB),
        ),
    ),
    "reviews_zh_linear": (OF_REVIEWS,),
    "sasrec": (
        (M("{column} / the file", "results/{one customer}/times the file/{column}", TIMES),),
        (M("times the file", "results/{peer}/times the file", TIMES),),
    ),
    "sasrec_accuracy": (_ranked(10, "HR"), _ranked(20, "P")),
    "sasrec_epoch": (
        (
            M("RecTools, s an epoch", "results/{loss}/rectools/epoch_seconds", FINE),
            M("shopkit, s an epoch", "results/{loss}/shopkit/epoch_seconds", FINE),
            M("times as fast", "results/{loss}/epoch_ratio", TIMES),
            M("at least", "results/{loss}/aim", "{:g}×"),
        ),
    ),
    "scale": (
        (
            M("lines", "factors/{times the shop}/lines", WHOLE),
            M("{column}, s", "factors/{times the shop}/{column}/seconds", WHOLE),
            M("{column}, MiB", "factors/{times the shop}/{column}/anonymous", WHOLE),
            M("{column} ended", "factors/{times the shop}/{column}/stopped", "stopped: {}", lacking="finished"),
        ),
        (
            M("10 to 100 times the shop: memory", "from_10_to_100/anonymous", TIMES),
            M("at most", "from_10_to_100/aim", TIMES),
            M("resident memory", "from_10_to_100/resident", TIMES),
            M("time", "from_10_to_100/seconds", TIMES),
        ),
    ),
    "session_settings": ((M("{column}", "ratios/{column}: {time with another setting, beside shopkit's own}", FINE),),),
    "startup": (
        (M("seconds", "seconds/{command}", FINE), M("times import hydra", "ratio/{command}", FINE)),
        (M("first answer, seconds", "first_answer/seconds/{from a file}", FINE),),
        (M("shopkit.runtime / onnxruntime and numpy", "first_answer/ratio", FINE), M("at most", "first_answer/aim", FINE)),
    ),
    "text_experiments": (
        (
            M("accuracy", "results/{experiment}/answers/{model}/accuracy"),
            M("AUROC", "results/{experiment}/answers/{model}/auroc"),
            M("macro F1", "results/{experiment}/answers/{model}/f1_macro"),
        ),
        (
            M("parameters", "results/{experiment}/parameters", WHOLE),
            M("training, s", "results/{experiment}/training seconds", WHOLE),
        ),
    ),
    "text_features": (
        tuple(M(f"{{column}}, {n:,} rows, ms", f"cases/{{terms}}/milliseconds, {n} rows/{{column}}", FINE) for n in (1, 1000)),
    ),
    "training_overhead": ((M("{column}, times", "results/{model, batch}/ratio/{column}", FINE),),),
    "wordpiece": (
        (
            M("texts", "results/{language, vocabulary}/texts", WHOLE),
            M("of them other", "results/{language, vocabulary}/differ", WHOLE),
            M("graph, one text, ms", "results/{language, vocabulary}/graph, one text, ms", FINE),
            M("tokenizers, one text, ms", "results/{language, vocabulary}/tokenizers, one text, ms", FINE),
        ),
    ),
}
"""Result → its tables; a text is the path of a sentence. A result without an entry shows all its numbers."""
