.DEFAULT_GOAL := help
.PHONY: help setup demo up test check bench docs lock clean distclean

BIN := .venv/bin
READY := .venv/.ready
# Compiled bytecode halves every start of Airflow.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV
unexport PYTHONHOME
export PATH := $(CURDIR)/$(BIN):$(PATH)
CODE := isthmus connectors quality landscape warehouse monitor dags
# Locks list hashes, never where a package was found.
COMPILE = eval "$$($(BIN)/python .ci/pip_settings.py)" && $(BIN)/uv pip compile --quiet $${UV_FLAGS:-} --python $(BIN)/python \
	--python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Build the environment in .venv from the lock (the others do it when needed)

$(READY): requirements.lock requirements-bootstrap.lock setup.cfg pyproject.toml
	@PYTHON="$(PYTHON)" .ci/setup

demo: $(READY) ## Load a small IS-U landscape into CRM through Airflow, keep both in step, fill the warehouse, show it
	@$(BIN)/isthmus demo

up: $(READY) ## Start Airflow with everything in it, until Ctrl-C
	@$(BIN)/isthmus up

test: $(READY) ## Run the tests
	@$(BIN)/python -m pytest $(ARGS)

check: $(READY) ## Check style, types, the direction of imports, the mappings and the warehouse
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict $(CODE)
	@$(BIN)/lint-imports
	@$(BIN)/isthmus check
	@$(BIN)/isthmus quality check
	@$(BIN)/isthmus warehouse check

bench: $(READY) ## Measure the initial download against its limit and its rivals
	@$(BIN)/python -m bench $(ARGS)

docs: $(READY) ## Generate the mapping sheets and reference pages in docs/
	@$(BIN)/isthmus docs
	@$(BIN)/isthmus warehouse docs

lock: $(READY) ## Resolve the newest allowed packages into the lock files
	@$(COMPILE) --upgrade --all-extras --output-file requirements.lock setup.cfg
	@echo uv | ( $(COMPILE) --upgrade --output-file requirements-bootstrap.lock - )

clean: ## Stop and delete the private store, caches and whatever was generated
	@if [ -d .isthmus ]; then $(BIN)/isthmus store remove --yes && rm -rf .isthmus; fi
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage build
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## Delete the environment as well
	@rm -rf .venv isthmus.egg-info
