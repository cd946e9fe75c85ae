# Everything a developer or a first user types. Plain `make` lists it.
# `.venv` is made here, from PYTHON, with the pinned requirements; a second `make` finds it and does nothing.

PYTHON ?= python3
VENV := .venv
# dlt, for measuring beside it, in an environment of its own
DLT_VENV := .venv-dlt
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
PYTEST := $(BIN)/python -m pytest
# as many at once as there are processors, eight at most: each has a database server of its own
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); echo $$((n < 8 ? n : 8)))
PARALLEL = --numprocesses=$(WORKERS) --dist=worksteal
PINNED := --quiet --universal --python-version 3.11 --generate-hashes --no-header
REDOCLY := @redocly/cli@2.77.0
# what touches the database, and so runs on every supported PostgreSQL
DATABASE_TESTS := $(wildcard tests/integration tests/recovery tests/test_api)

.DEFAULT_GOAL := list
.DELETE_ON_ERROR:
.PHONY: list up down test test-coverage test-long test-database lint types imports check check-migrations docs docs-check docs-lint \
	bench bench-full docker-up docker-down requirements clean

list: ## list these targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-26s %s\n", $$1, $$2}' Makefile

up: $(VENV)/.runtime ## start everything: database, first load, API on 127.0.0.1:8000
	@grep -qs "^API_KEY=" .env || { umask 077; touch .env; chmod 600 .env; [ -z "$$(tail -c 1 .env)" ] || echo >>.env; \
		printf "API_KEY=%s\n" "$$($(BIN)/python -c "import secrets; print(secrets.token_hex(16))")" >>.env; }
	@$(BIN)/kasparro up --detach

down: $(VENV)/.runtime ## stop what `make up` started; the data stays
	@$(BIN)/kasparro down

test: $(VENV)/.dev ## run the tests (all but the long ones)
	$(PYTEST) $(PARALLEL)

test-coverage: $(VENV)/.dev ## the same, and say which lines were never run
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-long: $(VENV)/.bench ## all tests, one at a time, with those that take minutes and 336,776 flights
	$(PYTEST) -o addopts="--strict-markers --strict-config --import-mode=importlib -ra" tests

test-database: $(VENV)/.dev ## what touches the database, on the server that KASPARRO_TEST_DATABASE_URL names
	@test -n "$$KASPARRO_TEST_DATABASE_URL" || { echo "test-database: set KASPARRO_TEST_DATABASE_URL" >&2; exit 2; }
	$(PYTEST) $(PARALLEL) $(DATABASE_TESTS)

lint: $(VENV)/.dev ## format and lint, fixing what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

types: $(VENV)/.dev ## check types
	$(BIN)/basedpyright

imports: $(VENV)/.dev ## check that imports point one way
	$(BIN)/lint-imports --no-cache

check: $(VENV)/.dev ## everything that can be judged without running a test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-cache
	$(MAKE) --no-print-directory docs-check check-migrations

# a database of its own, so that neither the developer's data nor a running server is touched
check-migrations: $(VENV)/.dev
	@home=$$(mktemp -d) && export KASPARRO_HOME="$$home" && unset DATABASE_URL DATABASE_URL_FILE && \
	trap '$(BIN)/kasparro down --quiet >/dev/null; rm -rf "$$home"' EXIT && \
	$(BIN)/kasparro migrate --quiet && $(BIN)/kasparro migrate --check

docs: $(VENV)/.dev ## write the generated pages of docs/reference
	$(BIN)/python docs/generate.py

docs-lint: ## lint docs/openapi.json (needs npm)
	REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --yes $(REDOCLY) lint --extends=recommended-strict docs/openapi.json

docs-check: $(VENV)/.dev
	$(BIN)/python docs/generate.py --check

bench: $(VENV)/.bench $(DLT_VENV)/.done ## measure speed beside the floor and dlt, some minutes (needs npm)
	$(BIN)/python -m bench

bench-full: $(VENV)/.bench $(DLT_VENV)/.done ## the same over the full sizes, medians of five: most of an hour
	$(BIN)/python -m bench --full

docker-up: ## start everything in containers: database, first load, scheduler, API on 127.0.0.1:8000
	@deploy/docker-up

# compose wants its variables for this as well, and uses none of them
docker-down: ## stop what `make docker-up` started; the data stays
	@POSTGRES_PASSWORD=unused API_KEY=unused docker compose --profile test down

requirements: ## pin anew what pyproject.toml asks for (needs uv)
	uv pip compile $(PINNED) pyproject.toml -o requirements/runtime.txt
	uv pip compile $(PINNED) pyproject.toml --extra otel -c requirements/runtime.txt -o requirements/otel.txt
	uv pip compile $(PINNED) pyproject.toml --extra otel --group dev -c requirements/otel.txt -o requirements/dev.txt
	uv pip compile $(PINNED) pyproject.toml --extra otel --group bench -c requirements/dev.txt -o requirements/bench.txt
	uv pip compile $(PINNED) --group bench-dlt -o requirements/bench-dlt.txt
	uv pip compile $(PINNED) --group build -c requirements/dev.txt -o requirements/build.txt

clean: ## remove environments and caches; data and .kasparro stay
	rm -rf $(VENV) $(DLT_VENV) bench/.cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov dist build

# -- the environment ---------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"make: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo \
		"make: this Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/build.txt requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing kasparro and what it needs into $(VENV)"
	@$(PIP) --require-hashes --no-deps -r requirements/build.txt
	@$(PIP) --require-hashes --no-deps -r requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@echo "installing development tools into $(VENV)"
	@$(PIP) --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	@$(PIP) --require-hashes --no-deps -r requirements/bench.txt
	@touch $@

$(DLT_VENV)/.done: requirements/bench-dlt.txt | $(VENV)/bin/python
	@echo "installing dlt into $(DLT_VENV)"
	@$(PYTHON) -m venv $(DLT_VENV)
	@$(DLT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps -r $<
	@touch $@
