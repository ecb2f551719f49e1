"""Both models keep the contract of their family."""

from shopkit.testing import conformance

test_conformance = conformance("shopkit-gbdt", settings={"gbdt": {"n_trees": 10}, "hist_gbdt": {"n_trees": 10}})
