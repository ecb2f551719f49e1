"""Every component keeps the contract of its family."""

from shopkit.testing import conformance

NEIGHBOURS = ("popular", "markov", "item_knn", "session_knn", "ease", "als")
NETWORKS = ("sasrec", "gru4rec", "two_tower", "mf")
REPEATS = {"exclude_seen": False}
"""What comes next may stand in the suite's made-up histories."""

test_conformance = conformance(
    "shopkit-recommend",
    settings={
        **dict.fromkeys(NEIGHBOURS, REPEATS),
        **{name: {**REPEATS, "dim": 16} for name in NETWORKS},
        "blend": {"trainer": {"max_epochs": 1}},
    },
)
