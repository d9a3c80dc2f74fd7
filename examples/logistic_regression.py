"""A logistic regression fitted by SciPy: the batch is the data, ``reduce="sum"`` adds up loss and gradient over it.

Needs scipy and scikit-learn, whose breast cancer data it fits and whose own result it compares with.
"""

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import fastgraph as fg


def loss(n_columns):
    """-log p(label) of one data row; label is -1 or 1. Row and label are parameters."""
    graph = fg.Graph("loss")
    weights, intercept = graph.input("weights", n_columns), graph.input("intercept")
    row, label = graph.parameter("row", n_columns), graph.parameter("label")
    graph.output(fg.softplus(-label * (fg.dot(weights, row) + intercept)))
    return graph.compile()


def fit(rows, labels):
    """The weights and, last, the intercept that minimise the sum of losses plus half the squared weights."""
    f = loss(rows.shape[1]).flat

    def objective(point):
        value, gradient = f.value_and_grad(point, row=rows, label=labels, reduce="sum")
        weights = point[:-1]
        return value + 0.5 * weights @ weights, gradient + np.append(weights, 0.0)

    start = np.zeros(rows.shape[1] + 1)
    return minimize(objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-6}).x


def main():
    """Fit, and print how far scikit-learn's coefficients are from ours."""
    columns, classes = load_breast_cancer(return_X_y=True)
    rows = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    ours = fit(rows, 2.0 * classes - 1.0)
    theirs = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12).fit(rows, classes)
    difference = np.max(np.abs(ours - np.append(theirs.coef_, theirs.intercept_)))
    right = np.mean((rows @ ours[:-1] + ours[-1] > 0.0) == classes)
    print(f"{len(rows)} rows, {right:.1%} classified as they are")
    print(f"scikit-learn's coefficients differ by less than 1e-5: {difference < 1e-5}")


if __name__ == "__main__":
    main()
