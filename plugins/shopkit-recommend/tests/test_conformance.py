"""Every component keeps the contract of its family."""

from shopkit.testing import conformance

test_conformance = conformance("shopkit-recommend")
