"""Speed and memory of retrieval beside torch's top-10 and torchmetrics, in one run.

Run: `python benchmarks/speed/retrieval.py [--rows 10000] [--threads 1] [--duplicated 100000]`

Each method has a process of its own, which makes the same embeddings (d = 512, float32) and
whose peak memory is given, interpreter and data included; the methods take turns, medians
of CPU time over the rounds. Target: both directions with all metrics, ties and chance
within 1.3 times the time and 1.5 times the memory of torch's chunked top-10 in one direction.

"near" has every query close to its item, "far" at random ranks, "constant" all cosines tied.
torchmetrics, where it is installed, gets fewer rows, as its cost grows faster than theirs.
`--duplicated` ranks so many rows of 0.8 as many texts and 0.08 as many faces, both ways.
"""

import argparse
import re
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from expclip.benchmarks.metrics.retrieval import rank_both

ROUNDS = 5
DIM = 512
NOISE = {"near": 3.0, "far": 1000.0, "constant": 0.0}
TORCH_CHUNK = 256
FEW = 1000

_kept: dict[tuple[int, str], tuple[Any, Any]] = {}


def embeddings(rows: int, kind: str) -> tuple[Any, Any]:
    """Return queries and gallery, row i of one for row i of the other."""
    if (rows, kind) not in _kept:
        rng = np.random.default_rng(0)
        gallery = rng.standard_normal((rows, DIM), np.float32)
        queries = rng.standard_normal((rows, DIM), np.float32)
        queries *= NOISE[kind]
        queries += gallery
        if kind == "constant":
            gallery[:] = queries[:] = 1 + 1e-8 * rng.standard_normal(DIM)
            gallery[::2] *= np.float32(1.1)  # the same directions but for rounding
        _kept[rows, kind] = queries, gallery
    return _kept[rows, kind]


def ours(rows: int, kind: str) -> None:
    """Rank both ways; all metrics."""
    queries, gallery = embeddings(rows, kind)
    keys = range(rows)
    for ranks in rank_both(queries, gallery, keys, keys, zip(keys, keys, strict=True)):
        ranks.means()


def torch_top(rows: int, kind: str) -> None:
    """Find the ten best of each query in portions, and R@1, R@5, R@10 from them."""
    import torch

    queries, gallery = map(torch.from_numpy, embeddings(rows, kind))
    queries = torch.nn.functional.normalize(queries)
    gallery = torch.nn.functional.normalize(gallery)
    hits = torch.zeros(3)
    for start in range(0, rows, TORCH_CHUNK):
        part = queries[start : start + TORCH_CHUNK]
        best = (part @ gallery.T).topk(10, dim=1).indices
        found = best == torch.arange(start, start + len(part))[:, None]
        hits += torch.stack([found[:, :k].any(dim=1).sum() for k in (1, 5, 10)])


def torchmetrics_two(rows: int, kind: str) -> None:
    """Compute its hit rate at 1 and its MRR."""
    import torch
    from torchmetrics.retrieval import RetrievalHitRate, RetrievalMRR

    queries, gallery = map(torch.from_numpy, embeddings(rows, kind))
    scores = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(gallery).T
    right = torch.eye(rows, dtype=torch.bool)
    query = torch.arange(rows)[:, None].expand(rows, rows).reshape(-1)
    for metric in (RetrievalHitRate(top_k=1), RetrievalMRR()):
        metric.update(scores.reshape(-1), right.reshape(-1), query)
        metric.compute()


def duplicated(rows: int, kind: str) -> None:
    """Rank rows of which many are copies, both ways."""
    texts, faces, text_keys, face_keys = duplicated_rows(rows)
    pairs = zip(text_keys, face_keys, strict=True)
    for ranks in rank_both(texts, faces, text_keys, face_keys, pairs):
        ranks.means(kind)


def duplicated_rows(rows: int) -> tuple[Any, Any, list[str], list[str]]:
    """Return embeddings and keys of both sides; a few faces own most rows."""
    if (rows, "") not in _kept:
        rng = np.random.default_rng(1)
        kinds = rows * 8 // 100
        shares = 1 / np.arange(1, kinds + 1) ** 0.8
        text = np.concatenate([np.arange(rows * 8 // 10), rng.integers(0, rows // 100, rows // 5)])
        owner = rng.choice(kinds, rows * 8 // 10, p=shares / shares.sum())
        owner[:kinds] = np.arange(kinds)
        face = owner[text]
        centres = rng.standard_normal((kinds, DIM), np.float32)
        texts = rng.standard_normal((rows * 8 // 10, DIM), np.float32)
        texts *= 3
        texts += centres[owner]
        _kept[rows, ""] = (
            (texts[text], centres[face]),
            ([f"t{number}" for number in text], [f"f{number}" for number in face]),
        )
    (texts, faces), (text_keys, face_keys) = _kept[rows, ""]
    return texts, faces, text_keys, face_keys


def measure(
    method: Callable[[int, str], None], rows: int, kind: str, threads: int
) -> tuple[float, float, int]:
    """Return CPU seconds, seconds, and the process's peak memory in MiB."""
    if "torch" in method.__name__:
        import torch

        torch.set_num_threads(threads)
    if method is duplicated:
        duplicated_rows(rows)
    else:
        embeddings(rows, kind)
    with threadpool_limits(threads):
        start, wall = time.process_time(), time.perf_counter()
        method(rows, kind)
        seconds = time.process_time() - start, time.perf_counter() - wall
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return *seconds, int(peak[1]) >> 10 if peak else 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--duplicated", type=int, default=0)
    options = parser.parse_args()
    rows, context = options.rows, get_context("spawn")
    methods = {
        "torch top-10, one direction": (torch_top, rows, "near"),
        "expclip, near, both directions": (ours, rows, "near"),
        "expclip, far, both directions": (ours, rows, "far"),
        "expclip, constant, both directions": (ours, rows, "constant"),
        f"expclip, near, {FEW:,} rows": (ours, FEW, "near"),
    }
    if find_spec("torchmetrics"):
        methods[f"torchmetrics, 2 metrics, {FEW:,} rows"] = (torchmetrics_two, FEW, "near")
    else:
        print("torchmetrics is not installed: left out\n")
    pools = {name: context.Pool(1) for name in methods}
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in methods}
    for _ in range(ROUNDS + 1):
        for name, call in methods.items():
            found[name].append(pools[name].apply(measure, (*call, options.threads)))
    for pool in pools.values():
        pool.terminate()
    print(f"{rows:,} x {rows:,}, d = {DIM}, {options.threads} thread(s), {ROUNDS} rounds\n")
    print(f"{'':38} {'CPU s':>7} {'ratio':>6} {'wall s':>7} {'MiB':>6} {'ratio':>6}")
    base: tuple[float, int] | None = None
    for name, runs in found.items():
        cpu, wall = (median(run[which] for run in runs[1:]) for which in (0, 1))
        peak = runs[-1][2]
        base = base or (cpu, peak)
        print(
            f"{name:38} {cpu:7.2f} {cpu / base[0]:6.2f} {wall:7.2f} {peak:6} {peak / base[1]:6.2f}"
        )
    if options.duplicated:
        with context.Pool(1) as pool:
            cpu, wall, peak = pool.apply(
                measure, (duplicated, options.duplicated, "rows", options.threads)
            )
        print(f"\n{options.duplicated:,} duplicated rows, both directions: {cpu:.1f} s of CPU, "
              f"{wall:.1f} s, {peak:,} MiB")  # fmt: skip


if __name__ == "__main__":
    main()
