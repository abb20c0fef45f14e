"""The command line: what it prints, and how it fails."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from servers.llm import LlmServer

EXPCLIP = (sys.executable, "-c", "from expclip.cli.main import main; main()")
Start = Callable[..., LlmServer]


def expclip(*arguments: object, ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*EXPCLIP, *map(str, arguments)], capture_output=True, text=True)
    assert (done.returncode == 0) is ok, done.stderr
    return done


def fails(*arguments: object) -> str:
    """Run a command that must fail; return its one line."""
    done = expclip(*arguments, ok=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip().removeprefix("error: ")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("I passed!\nNobody came to the party.\nThe bus leaves at nine.\n")
    return path


def test_help_names_every_group_and_command() -> None:
    told = expclip("--help").stdout
    for name in ("tead", "render", "--version"):
        assert name in told
    told = expclip("tead", "--help").stdout
    for name in ("build", "replay", "prompts", "validate"):
        assert name in told


def test_version_is_printed() -> None:
    from importlib.metadata import version

    assert expclip("--version").stdout.strip() == version("expclip")


def test_build_tells_what_it_wrote_and_how_to_load_it(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = expclip("tead", "build", "--corpus", texts, "--out", out).stdout
    assert "3 rows" in told and "by offline" in told
    assert f'load it: datasets.load_dataset("{out}")' in told
    assert f"next: expclip tead validate {out}" in told
    for line in told.splitlines():
        if line.startswith("wrote "):
            assert Path(line.removeprefix("wrote ")).is_file()
    told = expclip("tead", "validate", out).stdout
    assert "every row keeps every rule" in told


def test_build_with_an_llm_and_replay(llm_server: Start, texts: Path, tmp_path: Path) -> None:
    server, out = llm_server(), tmp_path / "out"
    arguments = ["--llm", "m", "--base-url", server.base_url, "--corpus", texts, "--out", out]
    assert "3 rows" in expclip("tead", "build", *arguments).stdout
    asked = server.stats()["requests"]
    assert "3 rows" in expclip("tead", "replay", out).stdout
    assert server.stats()["requests"] == asked == 6


def test_build_tells_what_it_cost_and_stops_at_the_limit(
    llm_server: Start, texts: Path, tmp_path: Path
) -> None:
    server, out = llm_server(), tmp_path / "out"
    arguments = ["--llm", "m", "--base-url", server.base_url, "--corpus", texts, "--out", out]
    told = fails("tead", "build", *arguments, "--prices", "1,10", "--max-cost", "0.0285")
    assert re.match(
        r"the next request may cost more than is left: spent 0\.0\d+ of 0\.0285; \d ", told
    )
    told = expclip("tead", "build", *arguments, "--prices", "1,10").stdout
    assert re.search(r"6 answers, [\d,]+ tokens in, \d+ out, cost 0\.0\d+\n", told)
    assert re.search(r"6 answers, .*, cost 0\.0\d+\n", expclip("tead", "replay", out).stdout)
    assert server.stats()["requests"] == 6


def test_defaults_of_the_command_are_those_of_the_records() -> None:
    from expclip.cli.tead import build
    from expclip.tead import BuildPlan, CorpusOptions, LlmOptions

    offered = {name: one.default for name, one in inspect.signature(build).parameters.items()}
    renamed = {"timeout": "timeout_s", "patience": "patience_s", "max_rows": "limit"}
    own = {"out", "corpus", "llm", "overwrite"}
    records = [LlmOptions("m"), CorpusOptions(), BuildPlan()]
    for name in offered.keys() - own:
        field = renamed.get(name, name)
        found = [getattr(record, field) for record in records if hasattr(record, field)]
        assert found and set(found) == {offered[name]}, name


def test_prompts_are_printed_as_a_model_gets_them() -> None:
    told = expclip("tead", "prompts", "single", "--text", "My own text.").stdout
    assert "Text: My own text." in told and "AU12 lip corner puller" in told
    assert fails("tead", "prompts", "nonsense").startswith("no prompt 'nonsense', expected one of")


def test_broken_data_set_fails_validation(texts: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    out = tmp_path / "out"
    expclip("tead", "build", "--corpus", texts, "--out", out)
    [path] = (out / "data" / "offline").glob("train-*")
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    done = expclip("tead", "validate", out, ok=False)
    assert done.returncode == 1
    assert "error: content differs from the manifest's hash" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--corpus", "nowhere.txt"], "nowhere.txt: no such file"),
        (["--corpus", "{}/empty.txt"], "empty.txt: no usable text found"),
        (["--corpus", "{}/table.csv", "--text-column", "tweet"], "column 'tweet' not found"),
        (["--corpus", "{}/latin.txt"], "not utf-8 (found byte 0xe9), name its encoding"),
        (["--llm", "m", "--base-url", "http://127.0.0.1:9/v1"], "does not answer"),
        (["--llm", "m", "--base-url", "127.0.0.1"], "must start with http://"),
        (["--prompts", "{}"], "no prompt found, expected one of tags.txt"),
        (["--prices", "1,2"], "--backend, --prices and --max-cost need an LLM"),
        (["--llm", "m", "--prices", "cheap"], "prices 'cheap': expected IN,OUT"),
        (["--llm", "m", "--max-cost", "5"], "--max-cost needs --prices IN,OUT"),
        (["--llm", "m", "--backend", "cloud"], "no backend 'cloud', expected one of server, batch"),
        (["--llm", "{}", "--backend", "local"], "holds no model of transformers"),
        (["--strength", "3"], "strength must be above 0 and at most 1"),
        (["--out", "{}"], "not empty, and no build of expclip"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "table.csv").write_text("id,text\n1,hello\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    words = [word.replace("{}", str(tmp_path)) for word in arguments]
    if "--out" not in words:
        words += ["--out", str(tmp_path / "out")]
    assert line in fails("tead", "build", "--max-rows", "5", *words)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_wrong_key_and_unknown_model_are_one_line(
    llm_server: Start, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    server = llm_server(api_key="another")
    arguments = ["--llm", "m", "--base-url", server.base_url, "--corpus", texts]
    told = fails("tead", "build", *arguments, "--out", tmp_path / "a")
    assert "HTTP 401" in told and "sk-very-secret" not in told
    server = llm_server(models=("other",))
    arguments[3] = server.base_url
    assert "HTTP 404" in fails("tead", "build", *arguments, "--out", tmp_path / "b")
    for path in (tmp_path / "a").rglob("*"):
        assert not path.is_file() or b"sk-very-secret" not in path.read_bytes()


def test_folder_of_another_run_is_refused(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    expclip("tead", "build", "--corpus", texts, "--out", out)
    told = fails("tead", "build", "--corpus", texts, "--out", out, "--seed", "1")
    assert "holds a build with seed 0, now it is 1" in told and "--overwrite" in told
    expclip("tead", "build", "--corpus", texts, "--out", out, "--seed", "1", "--overwrite")


def test_replay_and_validate_of_nothing_are_one_line(tmp_path: Path) -> None:
    assert "no build was begun here" in fails("tead", "replay", tmp_path)
    assert "not a finished TEAD" in fails("tead", "validate", tmp_path)
