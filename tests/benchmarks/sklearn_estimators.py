"""Accuracy and time beside scikit-learn's own networks: ``python tests/benchmarks/sklearn_estimators.py``.

Both train for the same epochs on the same folds, in turn, round after round, each on one thread; a ratio is the median
over rounds of one round's ratio, with its quartiles. Time is the processor's, of which other programs take less away.
Each round has seeds of its own, so that the spread of the scores is that of folds and first weights together.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is imported

import numpy as np  # noqa: E402
from sklearn import neural_network as theirs  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.model_selection import KFold, StratifiedKFold  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

import microgradnp as mg  # noqa: E402
from microgradnp import sklearn as ours  # noqa: E402

DATA = ("digits", "breast_cancer", "wine", "diabetes")
SIZES = ((100,), (32, 32), (16,))


def table(name: str) -> tuple[Any, Any, str]:
    """Inputs and targets, and the class of estimators for them."""
    x, y = getattr(mg.datasets, name)()
    if name == "diabetes":
        return x, (y - y.mean()) / y.std(), "MLPRegressor"
    return x, y, "MLPClassifier"


def compare(name: str, sizes: tuple[int, ...], epochs: int, rounds: int, dtype: str) -> str:
    """One line of the report."""
    x, y, kind = table(name)
    scores: dict[Any, list[float]] = {ours: [], theirs: []}
    times: dict[Any, list[float]] = {ours: [], theirs: []}
    folds = KFold if kind == "MLPRegressor" else StratifiedKFold
    for seed in range(rounds):
        spent = {ours: 0.0, theirs: 0.0}
        for i, (train, test) in enumerate(folds(5, shuffle=True, random_state=seed).split(x, y)):
            scaler = StandardScaler().fit(x[train])
            x_train, x_test = (scaler.transform(x[rows]).astype(dtype) for rows in (train, test))
            for module in (ours, theirs) if i % 2 else (theirs, ours):
                options = {"hidden_layer_sizes": sizes, "max_iter": epochs, "tol": 0.0, "n_iter_no_change": epochs + 1}
                estimator = getattr(module, kind)(**options, random_state=seed)
                start = time.process_time()
                estimator.fit(x_train, y[train])
                spent[module] += time.process_time() - start
                assert estimator.n_iter_ == epochs
                scores[module].append(estimator.score(x_test, y[test]))
        for module, seconds in spent.items():
            times[module].append(seconds / 5)
    ratios = np.percentile(np.divide(times[theirs], times[ours]), [25, 50, 75])
    mine, other = (f"{np.mean(scores[m]):.4f} ± {np.std(scores[m]):.4f}" for m in (ours, theirs))
    seconds = [f"{1000 * np.median(times[m]):7.0f} ms" for m in (ours, theirs)]
    return (
        f"{name:14}{sizes!s:10}{mine:18}{other:18}{'  '.join(seconds)}   "
        f"{ratios[1]:.2f} ({ratios[0]:.2f} to {ratios[2]:.2f})"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--data", nargs="*", default=DATA)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    print(f"{options.epochs} epochs, {options.rounds} rounds of 5 folds, {options.dtype}, one thread")
    print(f"{'data':14}{'hidden':10}{'ours':18}{'scikit-learn':18}{'ours':>10}  {'theirs':>10}   times faster")
    for name in options.data:
        for sizes in SIZES:
            print(compare(name, sizes, options.epochs, options.rounds, options.dtype), flush=True)


if __name__ == "__main__":
    main()
