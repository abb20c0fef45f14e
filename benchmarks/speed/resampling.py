"""Speed of intervals and tests beside SciPy's, in one run.

Run: `python benchmarks/speed/resampling.py [--queries 5000] [--draws 2000]`

The bootstrap takes 20 metrics at once; SciPy's, with its percentile method, one metric.
Every query is a cluster of its own, as SciPy knows no others. Medians of CPU time over
rounds in which all take turns; the intervals and p-values are printed for comparison.
"""

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
from scipy import stats

from expclip.benchmarks.metrics.statistics import cluster_bootstrap, interval, sign_flip_test

ROUNDS = 3
METRICS = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--draws", type=int, default=2000)
    options = parser.parse_args()
    count, draws = options.queries, options.draws
    rng = np.random.default_rng(0)
    values = rng.random((count, METRICS))
    other = values[:, 0] + rng.normal(0.002, 0.1, count)
    ones, each, batch = np.ones(count), range(count), max(1, 10_000_000 // count)

    def ours() -> Any:
        low, high = interval(cluster_bootstrap(values, ones, each, draws=draws))
        return low[0], high[0]

    def scipys() -> Any:
        return tuple(
            stats.bootstrap(
                (values[:, 0],), np.mean, n_resamples=draws, method="percentile", batch=batch,
                rng=np.random.default_rng(0),
            ).confidence_interval
        )  # fmt: skip

    def our_test() -> Any:
        return sign_flip_test(values[:, 0], other, ones, each, draws=draws)

    def scipys_test() -> Any:
        return stats.permutation_test(
            (values[:, 0], other), lambda a, b, axis: (a - b).mean(axis), n_resamples=draws,
            permutation_type="samples", vectorized=True, batch=batch,
            rng=np.random.default_rng(0),
        ).pvalue  # fmt: skip

    methods = {
        f"cluster_bootstrap, {METRICS} metrics": ours,
        "scipy bootstrap, 1 metric": scipys,
        "sign_flip_test": our_test,
        "scipy permutation_test": scipys_test,
    }
    spent: dict[str, list[float]] = {name: [] for name in methods}
    found: dict[str, Any] = {}
    for _ in range(ROUNDS):
        for name, method in methods.items():
            start = time.process_time()
            found[name] = method()
            spent[name].append(time.process_time() - start)
    print(f"{count:,} queries, {draws:,} draws\n")
    for name, seconds in spent.items():
        print(f"{name:32} {median(seconds):8.3f} s   {np.round(found[name], 4).tolist()}")


if __name__ == "__main__":
    main()
