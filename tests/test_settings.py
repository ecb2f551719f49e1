from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.errors import ConfigError
from shopkit.settings import MISSING, SettingError, build, convert, defaults, documentation, plain, type_name, types_of, unfit


@dataclass
class Inner:
    rate: float = 0.5
    """Share of something."""


@dataclass(frozen=True)
class Outer:
    width: int
    """Units."""
    mode: Literal["a", "b"] = "a"
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)
    """Settings within."""
    sizes: tuple[int, ...] = (1, 2)
    names: dict[str, list[str]] = field(default_factory=dict)
    anything: Any = "auto"

    def __post_init__(self) -> None:
        if self.width == 13:
            raise ConfigError("outer.width is 13; it must be another number.")
        if self.width == 14:
            raise ConfigError("Fourteen is refused.")


def test_defaults_are_plain_and_leave_out_what_must_be_given() -> None:
    assert defaults(Outer) == {
        "width": MISSING, "mode": "a", "limit": None, "inner": {"rate": 0.5}, "sizes": [1, 2], "names": {}, "anything": "auto",
    }  # fmt: skip


def test_build_goes_through_nested_settings() -> None:
    made = build(Outer, {"width": 3, "inner": {"rate": 1}, "sizes": [4], "names": {"x": ["y"]}, "limit": 2})
    assert made == Outer(3, "a", 2, Inner(1.0), (4,), {"x": ["y"]})
    assert isinstance(made.inner.rate, float)


@given(
    st.builds(
        Outer,
        width=st.integers(20, 99),
        limit=st.none() | st.integers(),
        inner=st.builds(Inner, st.floats(0, 1)),
        anything=st.just("auto"),
    )
)
def test_plain_and_build_are_inverse(settings: Outer) -> None:
    assert build(Outer, plain(settings)) == settings


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"widht": 3},
            "model.widht: model m has no setting 'widht'. Did you mean 'width'? Its settings: anything, inner, limit, ",
        ),
        ({}, "model.width: must be given; it has no default."),
        ({"width": MISSING}, "model.width: must be given (a whole number); it has no default."),
        ({"width": True}, "model.width: must be a whole number, got true."),
        ({"width": 1.0}, "model.width: must be a whole number, got 1.0."),
        ({"width": "3"}, "model.width: must be a whole number, got '3'."),
        ({"width": 3, "mode": "c"}, "model.mode: must be one of 'a', 'b', got 'c'."),
        ({"width": 3, "limit": "x"}, "model.limit: must be a whole number or null, got 'x'."),
        ({"width": 3, "inner": {"rate": None}}, "model.inner.rate: must be a number, got null."),
        ({"width": 3, "inner": {"rat": 1}}, "model.inner.rat: model.inner has no setting 'rat'. Did you mean 'rate'?"),
        ({"width": 3, "inner": 5}, "model.inner: must be settings (rate), got 5."),
        ({"width": 3, "sizes": [1, "x"]}, "model.sizes[1]: must be a whole number, got 'x'."),
        ({"width": 3, "sizes": 1}, "model.sizes: must be a list, each item a whole number, got 1."),
        ({"width": 3, "names": {"x": 3}}, "model.names.x: must be a list, each item text, got 3."),
        ({"width": 3, "names": []}, "model.names: must be a mapping of names, each value a list, each item text, got []."),
        ({"width": 3, "names": {"x": [3]}}, "model.names.x[0]: must be text, got 3. Write it in quotes: '\"3\"'."),
    ],
)
def test_what_does_not_fit_is_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as error:
        build(Outer, data, "model", owner="model m")
    assert str(error.value).startswith(message)


def test_a_dataclass_own_refusal_keeps_its_words_and_gains_a_path() -> None:
    with pytest.raises(SettingError, match=r"outer\.width is 13; it must be another number\.") as error:
        build(Outer, {"width": 13}, "outer")
    assert error.value.path == "outer.width"
    with pytest.raises(SettingError, match=r"features\.x\.width: outer\.width is 13") as error:
        build(Outer, {"width": 13}, "features.x")
    with pytest.raises(SettingError, match=r"outer: Fourteen is refused\.") as error:
        build(Outer, {"width": 14}, "outer")
    assert error.value.path == "outer"


def test_unions_keep_an_exact_type_and_report_the_deeper_problem() -> None:
    assert convert(float | int, 3, "x") == 3
    assert isinstance(convert(float | int, 3, "x"), int)
    assert convert(str | list[int], [1], "x") == [1]
    with pytest.raises(SettingError, match=r"x\[0\]: must be a whole number, got 'a'"):
        convert(str | list[int], ["a"], "x")
    with pytest.raises(SettingError, match=r"x: must be text or a list, each item a whole number, got 3\.5"):
        convert(str | list[int], 3.5, "x")


def test_long_values_are_shortened() -> None:
    with pytest.raises(SettingError, match=r"got 'aaa.*\.\.\.\.$") as error:
        convert(int, "a" * 500, "x")
    assert len(str(error.value)) < 140


def test_types_are_written_as_a_person_would() -> None:
    assert {name: type_name(hint) for name, hint in types_of(Outer).items()} == {
        "width": "int", "mode": "'a' | 'b'", "limit": "int | None", "inner": "Inner", "sizes": "tuple[int, ...]",
        "names": "dict[str, list[str]]", "anything": "Any",
    }  # fmt: skip


def test_documentation_is_read_below_the_fields_also_of_base_classes() -> None:
    @dataclass
    class Derived(Inner):
        more: int = 1
        """More of it,
        over two lines."""

    assert documentation(Derived) == {"rate": "Share of something.", "more": "More of it, over two lines."}
    assert documentation(Outer)["mode"] == ""


def test_documentation_of_a_class_without_source_is_empty() -> None:
    assert documentation(dataclasses.make_dataclass("Made", [("x", int, 3)])) == {"x": ""}


def test_what_cannot_hold_settings() -> None:
    assert unfit(Outer) is None
    assert unfit(int) == "its settings int must be a dataclass"
    assert unfit(3) == "its settings 3 must be a dataclass"
    made = dataclasses.make_dataclass("Made", [("x", set, None)])
    assert "the field 'x' of its settings Made has the type set; settings are plain" in str(unfit(made))
    nested = dataclasses.make_dataclass("Nested", [("y", made, None)])
    assert "the field 'y' of its settings Nested has the type Made" in str(unfit(nested))
