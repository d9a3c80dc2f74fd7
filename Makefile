# Everything runs in the environment that PYTHON belongs to: make PYTHON=.venv/bin/python test
PYTHON ?= python

.PHONY: test lint bench report scaling accuracy long soak ci

test:  ## the tests that run on every change
	$(PYTHON) -m pytest -q -n 2

lint:  ## style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

bench:  ## timings against the peers that are installed
	$(PYTHON) -m pytest bench --benchmark-enable --benchmark-only --benchmark-columns=min,median,rounds

report:  ## the table of docs/benchmarks.md, some minutes on a quiet machine
	$(PYTHON) -m bench.report

scaling:  ## the plots and tables of docs/benchmarks.md about sizes and threads
	$(PYTHON) -m bench.scaling

accuracy:  ## the measured error of every op, in ulps; fails if one breaks its bound
	$(PYTHON) -m fastgraph.ops
	$(PYTHON) -m fastgraph.ops --dtype float32

long:  ## the exhaustive tests, after the usual ones
	$(PYTHON) -m pytest -q -n 2 -m "not soak"

soak:  ## many threads, functions and layouts at once, for FASTGRAPH_SOAK_SECONDS (120)
	$(PYTHON) -m pytest -q -m soak -s tests/test_soak.py

ci:  ## what a submission must pass
	bash .ci/run
