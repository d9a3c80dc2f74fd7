"""A decay curve fitted by Gauss-Newton: the batch is the data, the gradient of each row a row of the Jacobian."""

import numpy as np

import fastgraph as fg


def residual():
    """size * exp(-rate * t) + floor - y of one data point; t and y are parameters."""
    graph = fg.Graph("decay")
    size, rate, floor = graph.inputs("size", "rate", "floor")
    t, y = graph.parameter("t"), graph.parameter("y")
    graph.output(size * fg.exp(-rate * t) + floor - y)
    return graph.compile()


def fit(t, y, guess, steps=20):
    """The (size, rate, floor) of least squares."""
    f = residual()
    point = np.array(guess)
    for _ in range(steps):
        values, gradients = f.value_and_grad(*point, t=t, y=y)
        point = point - np.linalg.lstsq(np.column_stack(gradients), values)[0]
    return point


def main():
    """Fit noisy data made from known numbers and print both."""
    rng = np.random.default_rng(0)
    t = np.linspace(0.0, 10.0, 10_000)
    y = 3.0 * np.exp(-0.7 * t) + 0.5 + rng.normal(0.0, 0.05, t.shape)
    size, rate, floor = fit(t, y, guess=(1.0, 1.0, 0.0))
    print(f"made from size 3, rate 0.7, floor 0.5; fitted size {size:.3f}, rate {rate:.3f}, floor {floor:.3f}")


if __name__ == "__main__":
    main()
