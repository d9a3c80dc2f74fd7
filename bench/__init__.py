"""Benchmarks: named workloads, the peers they are timed against, pytest-benchmark suites and a report.

``python -m pytest bench`` runs every case once, as a smoke test; ``--benchmark-enable`` times them;
``python -m bench.report`` times the rows of the speed contract, interleaved, and writes ``docs/benchmarks.md``;
``python -m bench.scaling`` does so for sizes of batches and graphs and numbers of threads, with plots.
"""
