# make demo       a spoken conversation from a file, then the web page (SERVE=0 ends after the conversation)
# make test       lint, types and the fast tests
# Both set up all they need in .venv, without root.
# make test-all   the other tests: what is slow, needs torch, or Debian packages (which it installs as root)

PYTHON ?= python3
PORT   ?= 8710
SERVE  ?= 1
VENV   := .venv
BIN    := $(VENV)/bin
SETUP  := $(VENV)/.stamps

.PHONY: help demo test test-all lint format packages clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(SETUP)/python: Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dragoman needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(SETUP) && touch $@

$(SETUP)/package: $(SETUP)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[mic,translate]'
	@touch $@

$(SETUP)/dev: $(SETUP)/package
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[mic,translate,dev]'
	@touch $@

demo: $(SETUP)/package
	$(BIN)/dragoman models get --for demo
	$(BIN)/dragoman demo -o out/demo
ifneq ($(SERVE),0)
	$(BIN)/dragoman serve --port $(PORT)
endif

test: $(SETUP)/dev lint
	$(BIN)/dragoman models get --for test
	OMP_NUM_THREADS=1 $(BIN)/pytest --durations=10

lint: $(SETUP)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(SETUP)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# As root, or where the packages are installed already.
packages:
	./tests/packages.sh

$(SETUP)/train: $(SETUP)/dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[mic,translate,pipecat,train,dev]'
	@touch $@

test-all: packages $(SETUP)/train
	$(BIN)/dragoman models get --for test
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "slow or train" --durations=10

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
