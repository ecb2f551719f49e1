"""Every component keeps the contract of its family."""

from shopkit.testing import conformance

NEIGHBOURS = ("popular", "markov", "item_knn", "session_knn", "ease", "als")
NETWORKS = ("sasrec", "gru4rec", "two_tower", "mf")
REPEATS = {"exclude_seen": False}
"""What comes next may stand in the suite's made-up histories."""
UNRELATED = "the suite's histories are made up at random, and tell nothing of what comes next"
NOT_FACTORED = "the suite's model is no product of a customer's and an item's vector, which this exporter takes apart"
EXPORTS = ("compare_file_and_model", "file_answers_as_the_model", "are_deterministic")

test_conformance = conformance(
    "shopkit-recommend",
    settings={
        **dict.fromkeys(NEIGHBOURS, REPEATS),
        **{name: {**REPEATS, "dim": 16} for name in NETWORKS},
        "blend": {"trainer": {"max_epochs": 1}},
    },
    known_failures={f"{name}:check_estimators_learn": UNRELATED for name in (*NEIGHBOURS, "blend")}
    | {f"item_index:check_exporters_{check}": NOT_FACTORED for check in EXPORTS},
)
