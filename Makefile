PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCH_BIN := .venv-bench/bin
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-all lint docs bench bench-peers

help:           ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(INSTALLED)       ## train on breast cancer, exact and with 100 shots, beside a classical baseline
	$(BIN)/qstore train breast_cancer --qubits 8 --splits 5 --baseline
	$(BIN)/qstore train breast_cancer --qubits 8 --splits 5 --shots 100 --gradient-method spsa

test: $(INSTALLED)       ## the fast tests
	$(BIN)/python -m pytest --numprocesses auto

test-slow: $(INSTALLED)  ## the tests that take minutes or need the network
	$(BIN)/python -m pytest -m slow

test-all: $(INSTALLED)   ## every test
	$(BIN)/python -m pytest -m ""

lint: $(INSTALLED)       ## style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(INSTALLED)       ## build the documentation into build/docs; a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

bench: $(INSTALLED)      ## measure: simulator, readouts, latency, caches, overhead, cost, IonQ, Aer, store (half an hour)
	$(BIN)/python benchmarks/simulator_speed.py
	$(BIN)/python benchmarks/readout_and_initialisation.py
	$(BIN)/python benchmarks/remote_latency.py
	$(BIN)/python benchmarks/caches.py
	$(BIN)/python benchmarks/executor_overhead.py
	$(BIN)/python benchmarks/cost_to_target.py --quick
	$(BIN)/python benchmarks/ionq_compile.py
	$(BIN)/python benchmarks/ionq_cost.py
	$(BIN)/python benchmarks/aer_speed.py
	$(BIN)/python benchmarks/store.py

bench-peers: .venv-bench/.installed  ## measure the simulator beside others, in an environment of its own (half an hour)
	$(BENCH_BIN)/python benchmarks/peers_speed.py

.venv-bench/.installed: benchmarks/requirements-peers.txt $(PROJECTS)
	@$(BENCH_BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv-bench
	@echo "installing benchmarks/requirements-peers.txt into .venv-bench"
	@$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --requirement benchmarks/requirements-peers.txt
	@touch $@

# Made anew when any project changes what it needs. A venv without a working pip is one whose making was interrupted.
$(INSTALLED): requirements-dev.txt $(PROJECTS)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "installing requirements-dev.txt into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@
