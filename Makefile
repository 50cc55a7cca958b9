# Two commands matter to a stranger: `make demo` and `make test`. Both make their own environment from hash-checked locks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
RUN := $(VENV)/.run-ready
DEV := $(VENV)/.dev-ready
INPUTS := pyproject.toml hatch_build.py package.json package-lock.json
PYTEST := $(BIN)/python -m pytest -q

.PHONY: help setup demo test check quick lint format bench bench-actions screenshots lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(RUN) ## create .venv with `countersign` in it

demo: $(RUN) ## load the demo estate and open the console
	@$(BIN)/countersign demo $(DEMO_FLAGS)

test: $(DEV) ## run the whole test suite: SQLite and PostgreSQL, browser, crash
	$(PYTEST) -n 2 --dist loadgroup

check: $(DEV) ## the fast loop: linters, types, import contracts, quick tests
	@$(MAKE) --no-print-directory --jobs 2 --output-sync quick lint

quick: $(DEV)
	COUNTERSIGN_QUICK=1 $(PYTEST) -n 2 --dist loadgroup -m "not slow and not browser and not postgres and not crash" tests/unit tests/property tests/vectors tests/contract

lint: $(DEV) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@$(PIP) check

format: $(DEV) ## rewrite the code as ruff wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) ## speed in CPU time, on this machine
	$(BIN)/countersign bench hot-path
	$(BIN)/countersign bench hot-path --closing
	$(BIN)/countersign bench score

bench-actions: $(DEV) ## approve to probed effect on nftables and OpenLDAP, as root
	PYTHONPATH=src $(BIN)/python -m tests.bench_actions 40

screenshots: $(DEV) ## take the pictures of the documentation from the running demo
	$(BIN)/python docs/images/take.py

lock: ## resolve the lock files anew (needs uv); versions and hashes, no addresses
	uv pip compile -q pyproject.toml --extra prove --extra report --group build --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -o requirements.lock
	uv pip compile -q pyproject.toml --extra learn --group build --group dev --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -o requirements-dev.lock
	uv pip compile -q --group node --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -o requirements-node.lock

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis src/countersign/web/static/vendor

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Countersign needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(RUN): requirements.lock $(INPUTS) | $(VENV)/bin/python
	@echo "installing (hash-checked)"
	@test -f $(DEV) || $(PIP) install -q --require-hashes --no-deps -r requirements.lock
	@command -v npm >/dev/null && command -v node >/dev/null || $(PIP) install -q --require-hashes --no-deps -r requirements-node.lock
	@$(PIP) install -q --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock $(INPUTS) | $(VENV)/bin/python
	@echo "installing with test tools (hash-checked)"
	@$(PIP) install -q --require-hashes --no-deps -r requirements-dev.lock
	@command -v npm >/dev/null && command -v node >/dev/null || $(PIP) install -q --require-hashes --no-deps -r requirements-node.lock
	@$(PIP) install -q --no-deps --no-build-isolation --editable .
	@touch $@ $(RUN)
