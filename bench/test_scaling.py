"""Scaling: every study runs, on small sizes, and draws the same bytes from the same numbers."""

import pytest

pytest.importorskip("matplotlib")

from bench import one_by_one, plots, scaling, workloads  # noqa: E402


@pytest.mark.parametrize("name", scaling.STUDIES)
def test_study(name, tmp_path):
    lines = scaling.study(name, quick=True, folder=tmp_path)
    assert any(line.startswith("| ") for line in lines)
    assert (tmp_path / f"scaling_{name}.svg").read_text().count("</svg>") == 1


def test_same_bytes(tmp_path):
    panel = scaling.Panel("a panel", {("value", "batch"): {1: 2e-9, 10: 1e-9}})
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in paths:
        plots.graphs([panel], path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("how", [one_by_one.compiled, one_by_one.called, one_by_one.swept])
def test_one_by_one(benchmark, how, gradient):
    work = workloads.black_scholes()
    sets = work.sets(1_000)
    run = scaling.checked(work, how(work, sets, gradient), sets, gradient)
    benchmark.group = f"one by one {'gradient' if gradient else 'value'}: {work.name}"
    benchmark(run)
