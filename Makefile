# make demo    the whole product on real bars in a few minutes
# make test    all tests
# make lint    style, types, import contracts
# make bench   latencies as ratios to the bare runtime calls
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint bench setup clean

demo: setup
	@$(PY) -m training demo

setup: $(VENV)/.ready-train

# One thread for products of matrices: on shared cores several wait for each other by spinning.
test: $(VENV)/.ready-dev
	OPENBLAS_NUM_THREADS=1 $(PY) -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder --cov --cov-report=term $(PYTEST_ARGS)

lint: $(VENV)/.ready-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(VENV)/.ready-dev
	$(PY) -m tests.benchmarks $(BENCH_ARGS)

# A stamp for each set of extras: installed once, and again when the lists change.
$(VENV)/.ready-%: setup.cfg pyproject.toml constraints.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing shadowgate[$*] into $(VENV) ..."
	@$(PIP) --editable ".[$*]"
	@touch $@

clean:
	rm -rf $(VENV) demo bench build *.egg-info .coverage
