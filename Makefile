# make audit   the main job: installs and audits the shipped stack
# make test    sets up everything and runs all tests
# make lint    ruff and mypy
# make bench   start-up and audit time, beside other tools
# make exporters   records the exporter catalogue from the real exporters' own metrics
# make running records what an engine says about the project that examples of policies about what runs start from
# make docs    writes the outputs that the pages show, and docs/policies
# make conformance FOLDER=folder ORACLE=file   compares `resolve` with Docker Compose's own answers
# make fuzz TARGET=yaml MINUTES=10   searches inputs that break a reader (targets: tests/fuzz/targets.py)
# make positions FOLDER=folder   reads back the place of every finding in a folder of repositories
# make differential   the same on some thousand made-up deployments (minutes); ARGS="--cases 20000 --seed 7"

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
JOBS ?= auto
SOURCES := infra_audit tests docs benchmarks hatch_build.py

.PHONY: audit test lint format bench docs exporters running conformance fuzz positions differential wheel clean
.DELETE_ON_ERROR:

audit: $(VENV)/.installed
	$(BIN)/infra-audit check stack

test: $(VENV)/.dev
	@sh tests/provision.sh
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.run $(ARGS)

exporters: $(VENV)/.dev
	@sh tests/provision.sh
	$(BIN)/python -m tests.exporters

running: $(VENV)/.dev
	@sh tests/provision.sh
	$(BIN)/python -m tests.running.record

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

conformance: $(VENV)/.dev
	@test -n "$(FOLDER)" -a -n "$(ORACLE)" || { echo "usage: make conformance FOLDER=folder ORACLE=file"; exit 2; }
	$(BIN)/python -m tests.conformance "$(FOLDER)" "$(ORACLE)"

MINUTES ?= 10
fuzz: $(VENV)/.dev
	@test -n "$(TARGET)" || { echo "usage: make fuzz TARGET=yaml [MINUTES=10]"; exit 2; }
	$(PIP) install -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz.run "$(TARGET)" --minutes "$(MINUTES)"

positions: $(VENV)/.dev
	@test -n "$(FOLDER)" || { echo "usage: make positions FOLDER=folder"; exit 2; }
	$(BIN)/python -m tests.test_positions "$(FOLDER)"

differential: $(VENV)/.dev
	$(BIN)/python -m tests.differential $(ARGS)

wheel: $(VENV)/.dev
	$(PIP) wheel --no-deps -w dist .

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "infra-audit needs Python 3.11 or newer"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e .
	@$(BIN)/python -m compileall -q infra_audit
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[dev]'
	@$(BIN)/python -m compileall -q infra_audit
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis policies/.cache
