# Strongroom. Needs make and Python 3.11 or newer, nothing else.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-servers lint bench torture torture-backups clean FORCE

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench
# Options for `strongroom up`, for example: make run ARGS="--https-port 9443"
ARGS ?=
# What pytest runs instead of everything, for example: make test TESTS="tests/unit -x"
TESTS ?=
# Twice as many as processors: many tests wait for a disk, a clock or another process.
WORKERS ?= 4
# Each starts a service and a browser of its own.
BROWSERS ?= 2
# How many requests `make torture` makes.
REQUESTS ?= 1000000
# In how many rounds `make torture-backups` kills something, and with which chance.
ROUNDS ?= 300
SEED ?= 1
# Debian packages whose programs some tests run for real; without them those tests are not collected, or use a stand-in.
PACKAGES := postgresql pgbackrest nginx-light haproxy pgbouncer age zstd redis-server
# What `make bench` sets ours beside; where one is missing, its row says so.
RIVALS := postgresql pgbackrest barman restic gnupg
ON_SERVERS := $(addprefix tests/integration/,servers limits pooler proxy project) tests/attack

# Tests start hundreds of processes, and each would compile the source anew.
unexport PYTHONDONTWRITEBYTECODE

# A clone that was moved or copied brings an environment that points elsewhere: make it again.
ifneq "$(shell cat $(VENV)/.root 2>/dev/null)" "$(shell pwd)"
$(RUNTIME) $(DEV) $(BENCH): FORCE
endif

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: $(DEV)  ## create .venv with everything for development and tests

run: $(RUNTIME)  ## start the whole service with demo workspaces; Ctrl-C stops it
	@exec $(BIN)/strongroom up --demo $(ARGS)

# The browser suite has a run of its own: Playwright keeps an event loop in the process it has been used in.
test: lint  ## lint, then run every test on a real PostgreSQL and in a real browser
	@$(BIN)/python tests/browser/install_chromium.py
ifneq "$(TESTS)" ""
	$(BIN)/python -m pytest -n $(WORKERS) $(TESTS)
else
	$(BIN)/python -m pytest -n $(WORKERS) --ignore=tests/browser tests
	$(BIN)/python -m pytest -n $(BROWSERS) tests/browser
endif

test-servers: $(DEV)  ## install Debian's PostgreSQL, pgBackRest, PgBouncer, nginx, HAProxy and Redis, and run the tests on them
	@sh tests/install_servers.sh $(PACKAGES)
	$(BIN)/python -m pytest -n $(WORKERS) $(ON_SERVERS)

lint: $(DEV)  ## ruff and pyright, strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

bench: $(BENCH)  ## measure against the targets and write docs/performance.md
	@sh tests/install_servers.sh $(RIVALS) || echo "Rows of what is missing will say so." >&2
	@exec $(BIN)/python tests/bench/run.py

torture: $(DEV)  ## a million marked requests under sabotage; REQUESTS=… for another number
	@exec $(BIN)/python tests/attack/torture/run.py --requests $(REQUESTS)

torture-backups: $(DEV)  ## backups and restores with kill -9 in the middle, 300 rounds; ROUNDS=… SEED=… for others
	@exec $(BIN)/python tests/attack/backups/run_ordeal.py --rounds $(ROUNDS) --seed $(SEED)

clean:  ## remove .venv and caches; the data in var/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): requirements.lock pyproject.toml
	@sh config/setup.sh requirements.lock
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml
	@sh config/setup.sh requirements-dev.lock
	@touch $@ $(RUNTIME)

# All of the above, and what we are measured against.
$(BENCH): requirements-bench.lock pyproject.toml
	@sh config/setup.sh requirements-bench.lock
	@touch $@ $(DEV) $(RUNTIME)

FORCE:
