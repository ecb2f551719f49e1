"""All components keep the contract of their family."""

from shopkit.testing import conformance

test_conformance = conformance("shopkit-vision", settings={"cnn": {"widths": [16], "stem": 8}})
