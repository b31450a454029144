# Each target sets itself up: a virtual environment in the tree, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test check docs bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

# The stamp is written last: an installation that was cut off is simply done again.
$(STAMP): pyproject.toml constraints.txt
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[demo,test]'
	@touch $(STAMP)

demo: $(STAMP) ## real photographs to channels, to a network that knows them (2 minutes)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/demo.py demo

# Workers share the cores already: with more compute threads than cores, torch mostly waits.
test: $(STAMP) ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

check: $(STAMP) ## ruff, mypy, and the documentation against the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/cli_reference.py --check

docs: $(STAMP) ## write docs/cli.md from the commands' help
	$(BIN)/python docs/cli_reference.py

bench: $(STAMP) ## run the benchmarks on ../shared/data (about 2.5 hours)
	$(BIN)/python -m tests.benchmarks

clean: ## remove the virtual environment and the demo
	rm -rf $(VENV) demo
