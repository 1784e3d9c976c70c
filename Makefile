PYTHON ?= python3
KEEP ?= 0
PART ?= a b c g
BENCH ?=
SAMPLE ?=
SEED ?= 1
HOURS ?= 24
STEPS ?= 10000
PARTS ?= 1
OWN = tests/campaigns/test_faults.py tests/campaigns/test_soak.py tests/campaigns/test_whole_system.py
RUN = .venv/bin/python
# Hundreds of processes import the same modules: compiled once, each starts in half the time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help pages setup demo test lint types unit test-slow test-dialects test-oldest test-scale campaigns faults soak histories bench docs notebooks pictures sbom clean

help:
	@echo "make demo         the main job on a local stand-in for Barrack; no account needed"
	@echo "make demo KEEP=1  the same, and keep the sandbox and the Prefect UI running"
	@echo "make test         format, lint, types and tests"
	@echo "make test-slow    whole days with servers, workers and many processes"
	@echo "make test-dialects  the flow tests in each foreign dialect"
	@echo "make test-oldest  the tests of what Prefect does, with the oldest Prefect that is allowed"
	@echo "make test-scale   several servers and workers on PostgreSQL and Redis, which must be installed"
	@echo "make campaigns    long searches"
	@echo "make bench        the flows beside scripts by hand, into benchmarks/results.md"
	@echo "make bench PART=a BENCH='--sizes 100 1000 5000 --in-flight 16 64'   one part of it, larger"
	@echo "make docs         the documentation site, into dist/site"
	@echo "make pages        write the pages that are made from the code anew"
	@echo "make notebooks    run the notebooks in examples/ again, and keep what they show"
	@echo "make pictures     make the pictures of the docs again; needs Chromium"
	@echo "make sbom         a bill of materials with licences, dist/sbom.json"
	@echo "make clean        remove all that make has made"

setup:
	@PYTHON="$(PYTHON)" sh scripts/setup.sh

demo: setup
	@$(RUN) scripts/demo.py --keep $(KEEP)

test: lint types unit

lint: setup
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

types: setup
	$(RUN) -m mypy

unit: setup
	$(RUN) -m pytest

# End to end, with servers, workers and processes of their own; few at a time.
test-slow: setup
	$(RUN) -m pytest -m 'slow and not campaign' -n 3

# All flow tests once more in each foreign dialect.
test-dialects: setup
	BARRACK_TEST_DIALECT=camel $(RUN) -m pytest tests/flows -m 'not campaign'
	BARRACK_TEST_DIALECT=upstream $(RUN) -m pytest tests/flows -m 'not campaign'
	$(RUN) -m pytest tests/flows/test_upstream_dialect.py

# What depends on Prefect most, with the oldest Prefect that is allowed; downloads it.
test-oldest:
	$(PYTHON) -m venv .cache/oldest
	.cache/oldest/bin/python -m pip --quiet install -c constraints-oldest.txt -e '.[test]'
	.cache/oldest/bin/python -m pytest -m 'not campaign' -n 2 tests/cli/test_arm.py tests/deployments/test_prefect_yaml.py \
		tests/deployments/test_renamed.py tests/examples tests/flows/test_artifacts.py tests/flows/test_guard.py \
		tests/server/test_forks.py tests/server/test_worker.py tests/server/test_worker_and_runs.py tests/tasks

# Two servers and three workers; one of each is killed. Skips itself where an engine is missing.
test-scale: setup
	-$(RUN) -m pip --quiet install --no-deps --upgrade -c deployments/constraints.txt --target .cache/scale prefect-redis
	$(RUN) -m pytest -m scale -n 0 -s tests/scale

# Long searches: every zone and year of the timetables, and what else is marked as a campaign.
campaigns: setup
	$(RUN) -m pytest -m campaign $(addprefix --ignore=,$(OWN))

# The whole matrix takes hours. WRITE=1 puts the tables of these three into docs/reliability.md.
ALONE = BARRACK_WRITE_DOCS=$(WRITE) PREFECT_LOGGING_LEVEL=CRITICAL $(RUN) -m pytest -n 0 -s -m campaign

.PHONY: faults soak histories
faults: setup
	SAMPLE=$(SAMPLE) SEED=$(SEED) $(ALONE) tests/campaigns/test_faults.py

soak: setup
	HOURS=$(HOURS) $(ALONE) tests/campaigns/test_soak.py

histories: setup
	STEPS=$(STEPS) SEED=$(SEED) PARTS=$(PARTS) $(ALONE) -n $(PARTS) tests/campaigns/test_whole_system.py

# What is measured stands in benchmarks/__main__.py; each part takes a few minutes.
bench: setup
	$(RUN) -m benchmarks $(PART) $(BENCH)

# Warnings are errors: a link that leads nowhere is one.
docs: setup
	$(RUN) -m sphinx -q -W --keep-going -c docs -d dist/doctrees . dist/site
	@echo "the site is dist/site/docs/index.html"

pages: setup
	$(RUN) -m docs.generate

notebooks: setup
	$(RUN) -m docs.generate.notebooks

pictures: setup
	$(RUN) -m docs.generate.pictures

sbom: setup
	$(RUN) scripts/make_sbom.py dist/sbom.json

clean:
	rm -rf .venv .cache .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
