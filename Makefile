# Everything a user needs: make demo, make test, make ui. Needs Python 3.11 (or 3.12) and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where torch comes from. On Linux the registry's own build carries several gigabytes of CUDA libraries; without a GPU:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Only torch comes from there: such an index need not have the pinned versions of what torch needs.
TORCH_INDEX ?=
TORCH_SOURCE = $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),)
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo twin test soak ui lint types install clean bench

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info < (3, 13)))' || \
	  { echo "error: Python 3.11 or 3.12 is needed; found $$($(PYTHON) --version). Mend: make PYTHON=python3.11 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing (torch first, from $(or $(TORCH_INDEX),the default index))"
	@$(PIP) install -q --no-deps -c constraints.txt $(TORCH_SOURCE) torch
	@$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: install
	@$(BIN)/finetune run childcare

# The router task on Google Cloud from upload to undeployment, against stand-ins on this machine; about a minute.
twin: install
	@$(BIN)/python -m finetune_assets_tests.twin

ui: install
	@$(BIN)/finetune ui

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install
	@$(BIN)/mypy

test: install
	@$(BIN)/python -m pytest -q -m "not soak" -n 2 --dist loadscope --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/python -m coverage report --fail-under=90 --include='$(PURE_ROOMS)' --skip-covered

# The rooms whose tests are pure; processes that tests start (trainers, gateways) are not counted by coverage.
PURE_ROOMS = finetune_assets/records/*,finetune_assets/datasets/*,finetune_assets/task_types/*,finetune_assets/evaluation/*,finetune_assets/releases/*,finetune_assets/storage/*,finetune_assets/tuning/*

soak: install
	@FINETUNE_SOAK=1 $(BIN)/python -m pytest -q -m soak

bench: install
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) .finetune
