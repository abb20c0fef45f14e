"""Speed of annotation: questions a second, journal on, against a bare loop over the openai client.

Run: `python benchmarks/speed/annotation.py [--rows 2000] [--in-flight 256] [--latency 0.05]`

Both ask the stand-in server of the tests the same questions in the same form, in turn
and several times in one run; the ratio of the medians counts. The bare loop keeps
nothing, checks nothing and retries nothing.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx2
import openai

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from servers.llm import LlmServer

from expclip.tead import Journal, LlmOptions, OpenAIClient, Prompts, SourceText
from expclip.tead.annotate import converse, fill_journal
from expclip.tead.llm.client import Dialect

SHORT = Prompts(
    {
        **Prompts.load().templates,
        "examples.jsonl": "",
        "tags.txt": "### system\nGive emotions, aus, situations.\n### user\nText: {{text}}\n",
        "single.txt": "### system\nGive emotions, aus, situations.\n### user\nText: {{text}}\n",
    }
)
"""A question as short as those by which the peers were measured."""

DISTILABEL_ROWS_PER_S = 233  # facts: distilabel 1.5.3, 256 in flight, its own run


async def bare(options: LlmOptions, bodies: list[dict[str, Any]]) -> None:
    """Ask every question with the openai client and its aiohttp transport; keep nothing."""
    slots = asyncio.Semaphore(options.in_flight)
    limits = httpx2.Limits(max_connections=options.in_flight)
    async with openai.AsyncOpenAI(
        base_url=options.base_url,
        api_key="none",
        max_retries=0,
        http_client=openai.DefaultAioHttpClient(limits=limits),
    ) as client:

        async def ask(body: dict[str, Any]) -> None:
            async with slots:
                await client.chat.completions.create(**body)

        await asyncio.gather(*map(ask, bodies))


async def ours(options: LlmOptions, texts: list[SourceText], prompts: Prompts, folder: str) -> None:
    """Annotate every text, each answer on disk before it is read."""
    transport = OpenAIClient(options)
    with Journal(Path(folder) / f"{time.monotonic_ns()}.sqlite") as journal:
        await fill_journal(texts, prompts, options, transport, journal)
    await transport.close()


def seconds(job: Coroutine[Any, Any, None]) -> float:
    """Return how long a coroutine runs."""
    start = time.perf_counter()
    asyncio.run(job)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--distilabel", help="a Python that has distilabel, to measure it too")
    args = parser.parse_args()

    texts = [SourceText(f"Day {n}, and it still rains.", "speed") for n in range(args.rows)]
    with LlmServer(latency_s=args.latency) as server, tempfile.TemporaryDirectory() as folder:
        # One question a row, as the bare loop asks, and as the peers were measured.
        options = LlmOptions(
            "stand-in", server.base_url, in_flight=args.in_flight, single_call=True
        )
        for name, prompts in (("our prompts", Prompts.load()), ("one short message", SHORT)):
            questions = [next(converse(text, prompts, options)) for text in texts]
            bodies = [Dialect().request(question, options) for question in questions]
            times: dict[str, list[float]] = {"bare": [], "ours": []}
            for _ in range(args.repeats):
                times["bare"].append(seconds(bare(options, bodies)))
                times["ours"].append(seconds(ours(options, texts, prompts, folder)))
            if args.distilabel and prompts is SHORT:
                times["distilabel"] = [distilabel(args, server.base_url) for _ in range(3)]
            report(f"{name}, {len(json.dumps(bodies[0])):,} bytes a question", args.rows, times)


def distilabel(args: argparse.Namespace, base_url: str) -> float:
    """Return the seconds that distilabel takes for the same rows."""
    script = Path(__file__).with_name("peer_distilabel.py")
    command = [args.distilabel, str(script), base_url, str(args.rows), str(args.in_flight)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def report(title: str, rows: int, times: dict[str, list[float]]) -> None:
    """Print rates and ratios."""
    rates = {name: rows / statistics.median(taken) for name, taken in times.items()}
    spread = {name: f"{rows / max(t):.0f}-{rows / min(t):.0f}" for name, t in times.items()}
    print(title)
    print(f"  bare loop over openai, aiohttp: {rates['bare']:5.0f} rows/s ({spread['bare']})")
    print(f"  expclip, journal on:            {rates['ours']:5.0f} rows/s ({spread['ours']})")
    print(f"  ratio to the bare loop: {rates['ours'] / rates['bare']:.2f} (target: 0.9)")
    if "distilabel" in rates:
        peer = rates["distilabel"]
        print(f"  distilabel:                     {peer:5.0f} rows/s ({spread['distilabel']})")
        print(f"  ratio to distilabel: {rates['ours'] / peer:.1f} (target: 3)")
    else:
        elsewhere = rates["ours"] / DISTILABEL_ROWS_PER_S
        print(f"  ratio to distilabel's {DISTILABEL_ROWS_PER_S} rows/s elsewhere: {elsewhere:.1f}")


if __name__ == "__main__":
    main()
