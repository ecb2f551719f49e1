"""The conformance suite: does a component keep its family's contract?

Each law is a plain function `check_…(subject)` in the module of its family, and its docstring says what it holds. Three ways to
run the laws that a plugin's components are under:

    test_conformance = conformance("shopkit-gbdt")       # one line in the plugin's tests, a test for each component and law
    pytest --shopkit-plugin shopkit-gbdt                 # no line at all
    shopkit plugins check shopkit-gbdt                   # a table; `check_distribution` in Python

Which checks a component gets follows from its family and tags:

| tag | what follows |
|---|---|
| `estimator` | a model with `fit` and `to_onnx`; otherwise a model trained by gradients |
| `features:codes` | the model is also given missing numbers (NaN) |
| `features:sequences` | the model is also given sequences, and padding must change none of its scores |
| `features:catalogue` | one of the model's sequences holds the target's classes: id = 2 + class |
| `task:<name>` | the model is tried with these tasks only; else with `binary`, `multiclass` and `regression` |
| `main` | an exporter leaves `model.onnx`, so that a run can be served by it |
| `onnx:custom` | an extractor may use operators outside the ONNX standard |

A component that default settings alone do not bring to work says how in `example` (sources, views) or `example_target` (tasks),
described in the base classes. Importing this module loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shopkit.testing.checks import Case, Check, Result, cases, check_distribution, checks_for
    from shopkit.testing.pytest_plugin import conformance
    from shopkit.testing.subject import ConformanceError, NotApplicable, Plugin, Subject

__all__ = [
    "Case",
    "Check",
    "ConformanceError",
    "NotApplicable",
    "Plugin",
    "Result",
    "Subject",
    "cases",
    "check_distribution",
    "checks_for",
    "conformance",
]

_HOMES = {
    **dict.fromkeys(("Case", "Check", "Result", "cases", "check_distribution", "checks_for"), "shopkit.testing.checks"),
    **dict.fromkeys(("ConformanceError", "NotApplicable", "Plugin", "Subject"), "shopkit.testing.subject"),
    "conformance": "shopkit.testing.pytest_plugin",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'shopkit.testing' has no attribute '{name}'")
