"""What must not be lost: runs killed at any moment, full disks, faulty servers."""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.llm import LlmServer
from servers.llm_replies import expected_reply

from expclip.tead import BuildPlan, LlmOptions, Prompts, build, read_rows, validate

Start = Callable[..., LlmServer]
EXPCLIP = (sys.executable, "-c", "from expclip.cli.main import main; main()")
IN_FLIGHT = 64


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[[int], Path]:
    def write(rows: int) -> Path:
        path = tmp_path / "texts.txt"
        path.write_text("".join(f"Text number {number} of the corpus\n" for number in range(rows)))
        return path

    return write


def expect_right_rows(out: Path, count: int) -> None:
    """Check every row against what the server says to its text."""
    prompts = Prompts.load()
    rows = list(read_rows(out))
    assert len(rows) == count
    for row in rows:
        tags = expected_reply(list(prompts.messages("tags", {"text": row["text"]})), None)
        assert (row["emotions"], row["au_codes"]) == (tags["emotions"], tags["aus"])
        fill = {"text": "", "emotions": ", ".join(row["emotions"])}
        question = list(prompts.messages("situations", fill))
        assert row["situations"] == expected_reply(question, None)["situations"]
    assert validate(out).ok


def test_killed_at_ten_moments_a_run_asks_again_only_what_was_in_flight(
    llm_server: Start, corpus: Callable[[int], Path], tmp_path: Path
) -> None:
    rows, kills = 2000, 10
    server = llm_server(latency_s=0.05)
    out = tmp_path / "out"
    command = [*EXPCLIP, "tead", "build", "--corpus", str(corpus(rows)), "--out", str(out)]
    command += ["--llm", "stand-in", "--base-url", server.base_url, "--in-flight", str(IN_FLIGHT)]
    moments = sorted(random.Random(0).sample(range(100, 2 * rows - 200), kills))
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while server.stats(brief=True)["distinct_answered"] < moment:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)

    asked = server.stats()["asked"]
    assert len(asked) == 2 * rows
    assert sum(asked.values()) - len(asked) <= kills * IN_FLIGHT
    expect_right_rows(out, rows)


@pytest.mark.parametrize(
    "faults",
    [
        {"rate_429": 0.2, "retry_after_s": 1},
        {"rate_500": 0.1},
        {"rate_cut": 0.05},
        {"rate_cut_body": 0.05},
        {"rate_bad_json": 0.1},
    ],
    ids=lambda faults: next(iter(faults)),
)
def test_a_faulty_server_costs_no_row(
    llm_server: Start, corpus: Callable[[int], Path], tmp_path: Path, faults: dict[str, Any]
) -> None:
    server = llm_server(latency_s=0.05, **faults)
    options = LlmOptions("stand-in", server.base_url, in_flight=IN_FLIGHT)
    manifest = build(tmp_path / "out", BuildPlan((str(corpus(500)),), llm=options))
    assert server.stats()["faults"], "the fault never happened"
    assert manifest["counts"]["rejects"] == {}
    expect_right_rows(tmp_path / "out", 500)


def test_all_faults_together_lose_rows_only_by_name(
    llm_server: Start, corpus: Callable[[int], Path], tmp_path: Path
) -> None:
    server = llm_server(
        rate_429=0.1,
        rate_503=0.05,
        rate_cut_body=0.05,
        rate_truncated=0.1,
        rate_white_space=0.05,
        rate_refusal=0.05,
        rate_empty=0.05,
        rate_no_tags=0.05,
        retry_after_s=0.1,
    )
    options = LlmOptions("stand-in", server.base_url, attempts=2)
    counts = build(tmp_path / "out", BuildPlan((str(corpus(200)),), llm=options))["counts"]
    assert counts["rows"] + sum(counts["rejects"].values()) == 200
    assert counts["rejects"].keys() <= {"truncated", "refusal", "empty", "tags", "nothing", "blank"}
    assert validate(tmp_path / "out").ok


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_line_and_nothing_answered_is_lost(
    llm_server: Start, corpus: Callable[[int], Path], small_disk: Path, tmp_path: Path
) -> None:
    server = llm_server()
    arguments = ["tead", "build", "--corpus", str(corpus(400)), "--llm", "stand-in"]
    arguments += ["--base-url", server.base_url, "--in-flight", "8", "--out"]
    full = subprocess.run(
        [*EXPCLIP, *arguments, str(small_disk / "out")], capture_output=True, text=True
    )
    assert full.returncode == 2
    assert full.stderr.startswith("error: ") and full.stderr.count("\n") == 1
    assert "disk is full" in full.stderr or "No space left" in full.stderr

    shutil.copytree(small_disk / "out", tmp_path / "out")  # the same folder, on a larger disk
    before = server.stats()
    subprocess.run([*EXPCLIP, *arguments, str(tmp_path / "out")], check=True, capture_output=True)
    after = server.stats()
    assert before["distinct_answered"] > 20
    asked_again = after["requests"] - len(after["asked"])
    assert asked_again <= 2 * 8  # what was on its way when the disk was full
    expect_right_rows(tmp_path / "out", 400)


def test_a_full_disk_stops_an_offline_build_with_one_line(small_disk: Path) -> None:
    done = subprocess.run(
        [*EXPCLIP, "tead", "build", "--max-rows", "8000", "--out", str(small_disk / "out")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert not list(small_disk.rglob("*.parquet")) and not list(small_disk.rglob("*.tmp"))


def test_a_read_only_folder_is_one_line(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for llm in ("offline", "some-model"):
        done = subprocess.run(
            [*EXPCLIP, "tead", "build", "--max-rows", "9", "--out", str(small_disk), "--llm", llm],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1 and "Read-only file system" in done.stderr


def test_an_interrupt_is_one_line_and_the_run_goes_on(
    llm_server: Start, corpus: Callable[[int], Path], tmp_path: Path
) -> None:
    server = llm_server(latency_s=0.05)
    command = [*EXPCLIP, "tead", "build", "--corpus", str(corpus(300)), "--llm", "stand-in"]
    command += ["--base-url", server.base_url, "--in-flight", "8", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    while server.stats(brief=True)["distinct_answered"] < 100:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert told.strip() == "stopped: run the same command to go on"
    subprocess.run(command, check=True, capture_output=True)
    expect_right_rows(tmp_path / "out", 300)
