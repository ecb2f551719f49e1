"""The conformance suite in pytest: `conformance` for a plugin's own tests, and `pytest --shopkit-plugin NAME` for any plugin.

pytest imports this module wherever shopkit is installed, so it imports nothing else of shopkit before it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from shopkit.registry import Registry
    from shopkit.testing.checks import Case

OPTION = "--shopkit-plugin"


def conformance(
    distribution: str,
    *,
    known_failures: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    registry: Registry | None = None,
) -> Callable[..., None]:
    """A test function with a case for each component and law: `test_conformance = conformance("shopkit-gbdt")`.

    Arguments and errors are those of `shopkit.testing.cases`. A known failure that passes fails the test.
    """
    from shopkit.testing.checks import cases

    found = cases(distribution, known_failures=known_failures, settings=settings, registry=registry)
    parameters = [pytest.param(case, id=case.id, marks=_marks(case)) for case in found]

    @pytest.mark.parametrize("case", parameters)
    def test_conformance(case: Case, tmp_path: Path) -> None:
        _run(case, tmp_path)

    return test_conformance


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    if not case.known_failure:
        return []
    return [pytest.mark.xfail(reason=case.known_failure, strict=True, raises=AssertionError)]


def _run(case: Case, folder: Path) -> None:
    from shopkit.testing.subject import NotApplicable

    try:
        case.run(folder)
    except NotApplicable as reason:
        pytest.skip(str(reason))


# -- pytest --shopkit-plugin NAME -----------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("shopkit").addoption(
        OPTION,
        action="append",
        default=[],
        metavar="NAME",
        help="run the conformance suite on this installed plugin; may be given several times",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(OPTION) and config.args_source != pytest.Config.ArgsSource.ARGS:
        # No path was given: the plugin is meant, not whatever tests lie here.
        config.args = []


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    for name in config.getoption(OPTION):
        items.extend(Conformance.from_parent(session, name=name, nodeid=f"shopkit::{name}").collect())


class Conformance(pytest.Collector):
    """The cases of one plugin."""

    def collect(self) -> Iterator[pytest.Item]:
        from shopkit.errors import ShopkitError
        from shopkit.testing.checks import cases

        try:
            found = cases(self.name)
        except ShopkitError as error:
            raise pytest.UsageError(f"{OPTION}: {error}") from error
        for case in found:
            yield ConformanceItem.from_parent(self, name=case.id, case=case)


class ConformanceItem(pytest.Item):
    """One check on one component."""

    def __init__(self, *, case: Case, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.case = case

    def runtest(self) -> None:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="shopkit-") as folder:
            _run(self.case, Path(folder))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from shopkit.testing.subject import ConformanceError

        if isinstance(excinfo.value, ConformanceError) and excinfo.value.__cause__ is None:
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name
