"""Running an exported file: onnxruntime and numpy, nothing else.

>>> from shopkit.runtime import Predictor          # doctest: +SKIP
>>> Predictor("model.onnx")({"price": 3.5, "color": "red"})   # doctest: +SKIP
{'probability': 0.81, 'label': 'yes'}
"""

from shopkit.runtime.canonical import canonicalise
from shopkit.runtime.predictor import Predictor

__all__ = ["Predictor", "canonicalise"]
