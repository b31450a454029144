# Each target sets itself up: a virtual environment in the tree, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than there are cores: tests wait for servers and processes a fifth of their time.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo ci check test fuzz faults versions docs bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

# Extras of each stage. Tests also run the demo's code, so their stage comes on top of it.
EXTRAS_demo := demo
EXTRAS_test := demo,test,frameworks
DEMO := $(VENV)/.demo
TEST := $(VENV)/.test

# The stamp is written last: an installation that was cut off is simply done again.
$(TEST): $(DEMO)
$(DEMO) $(TEST): $(VENV)/.%: pyproject.toml constraints.txt
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[$(EXTRAS_$*)]'
	@touch $@

demo: $(DEMO) ## real photographs to channels, to a network that knows them (3 minutes)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/demo.py demo

ci: check test ## all that must hold before a change is merged

check: $(TEST) ## ruff, mypy, numpydoc, and the pages made from the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/numpydoc lint $$(find freqprep cli -name '*.py')
	$(BIN)/python docs/reference.py --check
	$(BIN)/python -m tests.benchmarks.scale_tables --check
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.situations --check

# Workers share the cores already: with more compute threads than cores, torch mostly waits. Each
# takes whole files, so that what the tests of a file share is made once, the longest files first.
test: $(TEST) ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

fuzz: $(TEST) ## hostile files of every kind against all readers (17 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.campaign --seconds 60 --seed $(SEED)

faults: $(TEST) ## kills, full disks, bad servers, rivals, clocks against all writers (20 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.campaign --minutes 20 --seed $(SEED)

versions: $(TEST) ## wheel, lowest and newest libraries on Python 3.11 to 3.13, which must be on the PATH (1 hour)
	$(BIN)/python -m tests.versions

docs: $(TEST) ## write the pages made from the code, and build the documentation as a site, site/index.html
	$(BIN)/python docs/reference.py
	$(BIN)/python -m tests.benchmarks.scale_tables
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.situations
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(TEST) ## compare ratios with tests/benchmarks/recorded.json (18 minutes, ../shared/data)
	$(BIN)/python -m tests.benchmarks --compare

clean: ## remove the virtual environment, the demo and the site
	rm -rf $(VENV) demo site
