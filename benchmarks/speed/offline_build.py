"""Speed of the offline TEAD: seconds by stage, rows a second, peak memory.

Run: `python benchmarks/speed/offline_build.py [--rows 50000]`

The targets are 60 s of building and 1 GB for 50,000 rows. Built twice, the Parquet
files must be the same to the byte.
"""

import argparse
import hashlib
import resource
import tempfile
import time
from pathlib import Path

from expclip.tead import BuildPlan, CorpusOptions, annotate_offline, build, grammar_texts


def digests(folder: Path) -> dict[str, str]:
    """Return the hash of every Parquet file."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    rows = parser.parse_args().rows

    start = time.perf_counter()
    texts = grammar_texts(rows)
    written = time.perf_counter()
    for text in texts:
        annotate_offline(text.text)
    annotated = time.perf_counter()
    print(f"grammar:    {written - start:6.1f} s, {rows / (written - start):8,.0f} texts/s")
    print(f"annotator:  {annotated - written:6.1f} s, {rows / (annotated - written):8,.0f} texts/s")

    with tempfile.TemporaryDirectory() as folder:
        seen = []
        for name in ("first", "second"):
            start = time.perf_counter()
            build(Path(folder) / name, BuildPlan(("grammar",), CorpusOptions(limit=rows)))
            taken = time.perf_counter() - start
            print(f"{name} build:{taken:7.1f} s, {rows / taken:8,.0f} rows/s (target: 60 s)")
            seen.append(digests(Path(folder) / name))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: {peak:.0f} MB (target: 1,000 MB)")
    print(f"same bytes: {seen[0] == seen[1]}")


if __name__ == "__main__":
    main()
