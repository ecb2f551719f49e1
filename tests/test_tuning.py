"""The search for settings: what it tries, what it goes by, how it goes on, what its page says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import shopkit
from shopkit.cli import main
from shopkit.config import Composer
from shopkit.config.folders import core_folder
from shopkit.config.hparams import SearchSettings, Space, read_search
from shopkit.errors import ConfigError, RunError
from shopkit.registry import load_registry
from shopkit.report.headline import written
from shopkit.report.search import Trial, importance, render_search
from shopkit.runs import lock
from shopkit.testing.searches import check_search
from shopkit.tuning import Search, execute_search
from tests.shop import TABLE, visits

OVERRIDES = [
    *TABLE, "source=dataframe", "features.ignore=[amount]", "model.hidden=[8]", "model.members=2",
    "trainer.patience=0",
]  # fmt: skip
SPACE = SearchSettings(
    space={
        "trainer.lr": Space(0.00001, 0.05, log=True),
        "model.hidden": Space(choices=[[4], [8, 4]]),
        "model.members": Space(1, 3),
    },
    n_trials=6,
    n_startup=2,
    warmup_epochs=1,
)


def composer() -> Composer:
    return Composer.of(load_registry(""))


def run(folder: Path, settings: SearchSettings = SPACE, *more: str) -> Search:
    return execute_search(composer(), settings, [*OVERRIDES, *more], folder / "it.partial", data=visits(300))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Search:
    return run(tmp_path_factory.mktemp("search"))


def test_the_best_on_validation_is_run_in_full(done: Search) -> None:
    facts = done.facts
    finished = [trial for trial in facts["trials"] if trial["state"] == "complete"]
    assert facts["best"] == max(finished, key=lambda trial: trial["value"])
    assert len(facts["trials"]) == 6
    done.best.verify()
    name = facts["monitor"]["name"]
    assert done.best.metrics["metrics"]["validation"][name]["value"] == pytest.approx(facts["best"]["value"], abs=1e-6)
    config = done.best.config_path.read_text()
    assert f"lr: {facts['best']['params']['trainer.lr']}" in config
    for trial in facts["trials"]:
        assert set(trial["params"]) == set(SPACE.space)
        assert trial["params"]["model.hidden"] in ([4], [8, 4])
        assert 1 <= trial["params"]["model.members"] <= 3


def test_trials_never_look_at_the_test_part(done: Search) -> None:
    left = {path.name for path in (done.path / "trials").rglob("*") if path.is_file()}
    assert left == {"trial.json"}
    assert sorted(path.name for path in done.path.iterdir()) == ["best", "identity.json", "search.html", "search.json", "trials"]


@pytest.fixture
def trials_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No whole run of the best: for tests of what trials come to."""
    monkeypatch.setattr("shopkit.tuning._Searching.finish", lambda self: None)


def trials_of(found: Search) -> list[Trial]:
    return [replace(Trial.read(path), seconds=0.0) for path in sorted((found.path / "trials").rglob("trial.json"))]


@pytest.mark.usefixtures("trials_only")
def test_a_search_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = run(tmp_path / "a")
    three = run(tmp_path / "b", replace(SPACE, n_trials=3))
    partial = three.path.rename(tmp_path / "b" / "it.partial")
    records = sorted((partial / "trials").rglob("trial.json"))
    asked = json.loads(records[2].read_text())
    records[2].write_text(json.dumps({**asked, "state": "running", "value": None, "epochs": []}))
    kept = [path.stat().st_mtime_ns for path in records[:2]]
    six = run(tmp_path / "b", SPACE, "resume=true")
    assert trials_of(six) == trials_of(whole)
    assert [path.stat().st_mtime_ns for path in sorted((six.path / "trials").rglob("trial.json"))[:2]] == kept


@pytest.mark.usefixtures("trials_only")
def test_a_folder_holds_one_search(tmp_path: Path) -> None:
    """Also where its trials are all that it has."""
    done = run(tmp_path, replace(SPACE, n_trials=1))
    done.path.rename(tmp_path / "it.partial")
    record = tmp_path / "it.partial" / "trials" / "0000" / "trial.json"
    before = record.read_bytes()
    for settings, more in ((SPACE, ["seed=5"]), (replace(SPACE, warmup_epochs=2), []), (SPACE, ["seed=5", "resume=true"])):
        with pytest.raises(RunError, match=r"holds an unfinished search of another configuration, other data or other versions"):
            run(tmp_path, settings, *more)
    with pytest.raises(RunError, match=r"holds this search, unfinished\. Add resume=true"):
        run(tmp_path)
    assert record.read_bytes() == before


def test_the_best_of_fewer_trials_is_no_hindrance(tmp_path: Path) -> None:
    """A search that is killed while it runs its best, and is then to have more trials."""
    settings = SearchSettings(space={"model.l2": Space(0.01, 100.0, log=True)}, n_trials=1)
    typed = [override for override in OVERRIDES if not override.startswith("model.")] + ["model=linear"]

    def stop(stage: str, line: str, seconds: float) -> None:
        if stage == "export":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_search(composer(), settings, typed, tmp_path / "it.partial", data=visits(150), announce=stop)
    assert (tmp_path / "it.partial" / "best.partial").is_dir()
    more = replace(settings, n_trials=8)
    found = execute_search(composer(), more, [*typed, "resume=true"], tmp_path / "it.partial", data=visits(150))
    assert found.facts["best"]["number"] > 0
    assert f"l2: {found.facts['best']['params']['model.l2']}" in found.best.config_path.read_text()


def test_a_finished_search_is_found_again_and_takes_more_trials(done: Search) -> None:
    assert run(done.path.parent, SPACE, "resume=true").path == done.path


def test_the_page_compares_all_trials(done: Search) -> None:
    page = done.page.read_text()
    assert page.count('<path class="line s1"') == 1
    for key in SPACE.space:
        assert f'text-anchor="middle">{key}</text>' in page
    assert "Best: AUROC of 0." in page
    assert "shopkit run " in page
    assert 'href="best/report.html"' in page


@pytest.mark.usefixtures("trials_only")
def test_bad_trials_are_stopped_early(tmp_path: Path) -> None:
    space = {"trainer.lr": Space(choices=[0.03, 0.02, 0.01, 0.0000001])}
    settings = SearchSettings(space=space, sampler="random", n_trials=9, n_startup=3, warmup_epochs=0)
    more = ("trainer.max_epochs=5", "trainer.ema_decay=0", "trainer.batch_size=32")
    trials = trials_of(run(tmp_path, settings, *more))
    hopeless = [trial for trial in trials[3:] if trial.params["trainer.lr"] == 1e-07]
    assert hopeless
    assert {trial.state for trial in hopeless} == {"pruned"}
    for trial in trials:
        assert (trial.state == "pruned") or len(trial.epochs) == 5


def test_a_trial_that_diverges_is_an_answer(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"None of the 1 trials of .* came to an end\. The last one: The training loss became"):
        run(tmp_path, SearchSettings(space={"trainer.lr": Space(choices=[1e30, 1e31])}, n_trials=1))
    trial = Trial.read(tmp_path / "it.partial" / "trials" / "0000" / "trial.json")
    assert (trial.state, trial.value) == ("failed", None)
    assert "training loss became" in trial.reason


def test_an_estimator_is_judged_by_the_same_metric(tmp_path: Path) -> None:
    settings = SearchSettings(space={"model.l2": Space(0.01, 100.0, log=True)}, n_trials=3)
    typed = [override for override in OVERRIDES if not override.startswith("model.")]
    found = execute_search(composer(), settings, [*typed, "model=linear"], tmp_path / "it.partial", data=visits(200))
    value = found.best.metrics["metrics"]["validation"]["auroc"]["value"]
    assert found.facts["best"]["value"] == pytest.approx(value, abs=1e-6)
    more = replace(settings, n_trials=5)
    again = execute_search(composer(), more, [*typed, "model=linear", "resume=true"], tmp_path / "b.partial", data=visits(200))
    assert again.path == found.path
    assert [trial["number"] for trial in again.facts["trials"]] == [0, 1, 2, 3, 4]
    again.best.verify()


@pytest.mark.parametrize("path", sorted((core_folder() / "hparams_search").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_search_opens_with_its_command_and_composes(path: Path) -> None:
    check_search(path, composer())


def test_every_model_has_a_search() -> None:
    """Those of the packages beside it as well, where they are installed."""
    registry = load_registry()
    folders = (core_folder(), *registry.config_paths)
    shipped = {path.stem for folder in folders for path in (folder / "hparams_search").glob("*.yaml")}
    ours = {found.component.name for found in registry.components("models") if found.distribution.startswith("shopkit")}
    assert ours <= shipped


def test_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = [override for override in OVERRIDES if not override.startswith(("model.", "source="))] + ["model=linear"]
    settings = SearchSettings(space={"model.l2": Space(0.01, 100.0, log=True)}, n_trials=1)
    found = shopkit.search(overrides=[*typed, "name=mine"], settings=settings, data=visits(150))
    assert found.path.parent == Path("runs", "mine")
    assert found.path.name.endswith("_search")
    assert found.best.is_complete
    with pytest.raises(ConfigError, match=r"Choose what to try with hparams_search=<name>\. There are: .*linear"):
        shopkit.search(overrides=typed, data=visits(50))
    with pytest.raises(ConfigError, match=r"data= is given, which source=files does not read\. Choose source=dataframe for it"):
        shopkit.search(overrides=[*typed, "source=files", "source.path=x.csv"], settings=settings, data=visits(50))


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    visits(200).to_csv("visits.csv", index=False)
    (tmp_path / "conf" / "hparams_search").mkdir(parents=True)
    (tmp_path / "conf" / "hparams_search" / "mine.yaml").write_text(
        "# Mine.\nspace:\n  model.l2: {low: 0.1, high: 10.0, log: true}\n"
    )
    typed = [override for override in OVERRIDES if not override.startswith(("model.", "source="))]
    typed += ["model=linear", "source=files", "source.path=visits.csv", "name=tuned", "hparams_search=mine", "n_trials=2"]
    assert main(["search", *typed, "-o", "found"]) == 0
    assert "trial     2 of 2" in capsys.readouterr().out
    assert (tmp_path / "found" / "best" / "model.onnx").is_file()
    assert main(["run", *typed]) == 2
    assert "hparams_search tries many settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["hparams_search=mpl"], r"There is no hparams_search 'mpl'\. Did you mean 'mlp'\? There are: .*linear, lstm, .*mlp"),
        ([], r"Choose what to try with hparams_search=<name>"),
        (["hparams_search=mlp", "n_trials=0"], r"n_trials is 0; it must be at least 1"),
        (["hparams_search=mlp", "n_trials=many"], r"command line: n_trials: must be a whole number, got 'many'"),
        (["hparams_search=mlp", "pruner=mean"], r"pruner: must be one of 'median', 'none', got 'mean'\."),
        (["hparams_search=mlp", "--fast"], r"shopkit search does not know '--fast'"),
        (["-o"], r"-o wants a folder"),
    ],
)
def test_what_the_command_line_refuses(typed: list[str], message: str) -> None:
    from shopkit.cli.search import main as search_main

    with pytest.raises(ConfigError, match=message):
        search_main(typed)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("space: {}", r"space is empty"),
        ("spase: {}", r"a search has no setting 'spase'\. Did you mean 'space'\?"),
        ("space: {trainer.lr: {low: 1}}", r"give low and high, or choices"),
        ("space: {trainer.lr: {low: 3, high: 1}}", r"low is 3, which is not below high, 1"),
        ("space: {trainer.lr: {low: 0, high: 1, log: true}}", r"log needs low above 0"),
        ("- a", r"must hold settings: overrides, space"),
        ("{", r"is not a YAML file"),
    ],
)
def test_what_a_file_refuses(body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "hparams_search").mkdir(parents=True)
    (tmp_path / "conf" / "hparams_search" / "mine.yaml").write_text(body)
    with pytest.raises(ConfigError, match=message):
        read_search(["hparams_search=mine"], composer().folders)


def test_what_is_refused_before_the_first_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"model mlp has no setting 'dropuot'"):
        run(tmp_path, SearchSettings(space={"model.dropuot": Space(0.0, 0.5)}))
    with pytest.raises(ConfigError, match=r"cv is 3: a search goes by the validation part"):
        run(tmp_path, SPACE, "cv=3")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "it.partial").mkdir()
    with lock(tmp_path / "it.partial"), pytest.raises(RunError, match=r"Another process is working in"):
        run(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "shopkit\[search\]"'):
        run(tmp_path)


def test_importance_is_the_share_that_a_setting_explains() -> None:
    rng = np.random.default_rng(0)
    trials = []
    for number in range(80):
        params = {"a": float(rng.uniform()), "b": str(rng.choice(["x", "y"])), "c": [int(rng.integers(3))]}
        value = (params["a"] > 0.5) + 0.01 * float(rng.normal())
        trials.append(Trial(number, "complete", params, float(value)))
    shares = importance(trials, ["a", "b", "c"])
    assert shares["a"] > 0.9
    assert max(shares["b"], shares["c"]) < 0.1
    assert importance(trials[:3], ["a"]) == {}


def test_a_page_of_nothing_is_a_page(tmp_path: Path) -> None:
    facts = {
        "experiment": "e", "model": "m", "monitor": {"name": "mae", "mode": "min"}, "about": {}, "unit": "", "command": [],
        "trials": [vars(Trial(0, "failed", {"a": 1}, reason="it <broke>"))],
    }  # fmt: skip
    render_search(facts, tmp_path / "page.html")
    assert "it &lt;broke&gt;" in (tmp_path / "page.html").read_text()


def test_figures_of_a_search_have_their_unit_as_those_of_a_run_do(tmp_path: Path) -> None:
    estimate = {"value": 12.345, "low": 11.0, "high": 13.5}
    facts = {
        "experiment": "e", "model": "m", "monitor": {"name": "mae", "mode": "min"}, "unit": "USD", "command": ["a=1"],
        "about": {"mae": {"title": "MAE"}, "wape": {"title": "WAPE"}},
        "trials": [vars(Trial(0, "complete", {"a": 1}, 12.5))],
        "test": {"mae": estimate, "wape": {"value": 0.25, "low": 0.2, "high": 0.3}},
    }  # fmt: skip
    render_search(facts, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "MAE of 12.50 USD on the validation part" in page
    for cell in ("12.35 USD", "11.00 to 13.50 USD", "25.0 %", "20.0 to 30.0 %", "<b>12.50 USD</b>"):
        assert f'<td class="n">{cell}</td>' in page


def test_a_sweep_has_a_page_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    visits(200).to_csv("visits.csv", index=False)
    typed = [override for override in OVERRIDES if not override.startswith(("model.", "source="))]
    typed += ["model=linear", "source=files", "source.path=visits.csv", "name=grid", "model.l2=0.1,10"]
    assert main(["run", "-m", *typed, "hydra.sweep.dir=runs/one_sweep"]) == 0
    page = tmp_path / "runs" / "one_sweep" / "sweep.html"
    assert str(page.relative_to(tmp_path)) in capsys.readouterr().out
    assert "model.l2" in page.read_text()
    assert 'href="1/report.html"' in page.read_text()
    assert main(["run", "-m", *typed, "hydra.sweep.dir=runs/two_sweep", "resume=true"]) == 0
    assert capsys.readouterr().out.count("is complete already") == 2
    assert 'href="../one_sweep/1/report.html"' in (tmp_path / "runs" / "two_sweep" / "sweep.html").read_text()
    assert shopkit.Run.open("runs/one_sweep/0").is_complete


def test_a_sweep_of_cross_validations_has_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    visits(200).to_csv("visits.csv", index=False)
    typed = [override for override in OVERRIDES if not override.startswith(("model.", "source="))]
    typed += ["model=linear", "source=files", "source.path=visits.csv", "cv=2", "model.l2=0.1,10"]
    assert main(["run", "-m", *typed, "hydra.sweep.dir=runs/folds_sweep"]) == 0
    assert "runs/folds_sweep/sweep.html" in capsys.readouterr().out
    page = (tmp_path / "runs" / "folds_sweep" / "sweep.html").read_text()
    runs = [[shopkit.Run.open(f"runs/folds_sweep/{job}/fold-{fold}") for fold in range(2)] for job in range(2)]
    means = [np.mean([run.metrics["metrics"]["validation"]["auroc"]["value"] for run in folds]) for folds in runs]
    assert f"Best: AUROC of {written('auroc', max(means))} on the validation part, over 2 folds" in page
    assert 'href="1/cv.html"' in page


def test_a_validation_part_that_does_not_tell_the_metric(tmp_path: Path) -> None:
    data = visits(300)
    part = np.where(np.arange(300) % 4 == 0, "test", "train").astype(object)
    part[np.flatnonzero((data["bought"] == "no") & (part == "train"))[:40]] = "validation"
    overrides = ["model=linear", "split=given", "split.column=part"]
    chosen = [text for text in OVERRIDES if not text.startswith(("model.", "trainer.", "split="))]
    settings = SearchSettings(space={"model.l2": Space(choices=[1.0, 10.0])}, n_trials=2)
    with pytest.raises(RunError, match=r"None of the 2 trials .* The validation part does not tell auroc, by which trials are"):
        execute_search(composer(), settings, [*chosen, *overrides], tmp_path / "it.partial", data=data.assign(part=part))
