"""Speed of the report page: writing it, opening it in Chromium, filtering its rows.

Run: `python benchmarks/speed/report_page.py [--rows 50000]`, where Chromium is installed.

The targets are 3 s to open 50,000 rows, and 200 ms for the slowest filter.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from expclip.tead import BuildPlan, CorpusOptions, build, write_report

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from browser import Browser
from test_report import READY

SLOWEST_FILTER_MS = """(async () => {
    let slowest = 0;
    for (const [id, value, event] of [["text", "train", "input"], ["text", "e", "input"],
        ["text", "", "input"], ["emotion", "3", "change"], ["unit", "8", "change"],
        ["split", "1", "change"], ["emotion", "-1", "change"], ["unit", "-1", "change"],
        ["split", "-1", "change"]]) {
        const field = document.getElementById(id), start = performance.now();
        field.value = value;
        field.dispatchEvent(new Event(event, { bubbles: true }));
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
        slowest = Math.max(slowest, performance.now() - start);
    }
    return slowest;
})()"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tead"
        build(out, BuildPlan(("grammar",), CorpusOptions(limit=args.rows)))
        start = time.perf_counter()
        page = write_report(out)
        print(f"written in {time.perf_counter() - start:.1f} s, {page.stat().st_size / 1e6:.1f} MB")
        with Browser() as browser:
            opened = [browser.open(page, READY) for _ in range(args.repeats)]
            print(f"open: {min(opened):.2f}-{max(opened):.2f} s (target: 3 s)")
            slowest = [browser.run(SLOWEST_FILTER_MS) for _ in range(args.repeats)]
            print(f"slowest filter: {min(slowest):.0f}-{max(slowest):.0f} ms (target: 200 ms)")


if __name__ == "__main__":
    main()
