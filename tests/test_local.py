"""A chat model on this machine: protocol, batches, sampling, loading, a whole build."""

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
from tiny_models import make_chat_model, make_tokenizer

from expclip.face.errors import DataError, ExpclipError, MissingExtra, ModelError
from expclip.tead import BuildPlan, LlmOptions, Prompts, build, read_rows
from expclip.tead.llm.client import Dialect, Question, Response, Transport, read_reply
from expclip.tead.llm.generation import Prompt, batches
from expclip.tead.llm.journal import Journal
from expclip.tead.llm.local import LocalModel
from expclip.tead.llm.scheduler import Scheduler

REPLY = (
    '{"emotions": ["joy", "pride", "relief"], ',
    '"aus": ["AU6C", "AU12D"], "situations": ["A letter brings good news."]}',
)
SYSTEM = {"role": "system", "content": "You name what the writer of a text feels. " * 4}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Work of this size is done before a second thread has woken up."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def nonsense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a token per byte."""
    return make_chat_model(tmp_path_factory.mktemp("nonsense"))


@pytest.fixture(scope="session")
def annotator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that always gives `REPLY`."""
    tokenizer = make_tokenizer(list(Prompts.load().templates.values()), pieces=REPLY)
    return make_chat_model(tmp_path_factory.mktemp("annotator"), tokenizer=tokenizer, says=REPLY)


def ask(text: str = "hello", **parameters: Any) -> dict[str, Any]:
    messages = [SYSTEM, {"role": "user", "content": text}]
    return {"model": "m", "messages": messages, "max_completion_tokens": 12, **parameters}


def send(model: LocalModel, bodies: Sequence[Mapping[str, Any]]) -> list[Response]:
    async def run() -> list[Response]:
        try:
            return await asyncio.gather(*(model.send(body) for body in bodies))
        finally:
            await model.close()

    return asyncio.run(run())


def read_usage(body: bytes) -> tuple[int, int]:
    usage = json.loads(body)["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return usage["prompt_tokens"], usage["completion_tokens"]


def load(folder: Path, **sizes: int) -> LocalModel:
    return LocalModel(LlmOptions(str(folder)), **sizes)


def test_answer_is_a_chat_completion(annotator: Path) -> None:
    model = load(annotator)
    assert isinstance(model, Transport)
    [answer] = send(model, [ask()])
    assert answer.status == 200
    assert read_reply(answer.body) == "".join(REPLY)
    tokens_in, tokens_out = read_usage(answer.body)
    assert tokens_out == 3  # two pieces and the end
    encoded = make_tokenizer(list(Prompts.load().templates.values()), pieces=REPLY)
    assert tokens_in == len(
        encoded.apply_chat_template(
            ask()["messages"], add_generation_prompt=True, return_dict=False
        )
    )


@pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens"])
def test_answer_is_cut_at_the_limit_and_says_so(annotator: Path, name: str) -> None:
    body = {key: value for key, value in ask().items() if key != "max_completion_tokens"}
    short, exact = send(load(annotator), [{**body, name: 2}, {**body, name: 3}])
    choice = json.loads(short.body)["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "".join(REPLY))
    assert read_usage(short.body)[1] == 2
    assert json.loads(exact.body)["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_answer_does_not_depend_on_its_batch(tmp_path: Path, kind: str) -> None:
    # A mistral's layers keep a window only: what its prompts share is read by each.
    folder = make_chat_model(tmp_path, kind=kind)
    bodies = [
        ask("so " * (number % 4) + str(number), temperature=temperature, seed=number)
        for number, temperature in enumerate((None, 0.0, 0.5, 0.7, 1.0, 3.0, 1.0))
    ]
    together = send(load(folder), bodies)
    assert send(load(folder, batch_size=1), bodies) == together
    assert send(load(folder, batch_size=3), bodies) == together
    assert send(load(folder), bodies[::-1]) == together[::-1]


def test_seed_decides_the_sample_and_temperature_zero_ignores_it(nonsense: Path) -> None:
    def say(temperature: float, *seeds: int) -> list[str]:
        bodies = [ask(temperature=temperature, seed=seed) for seed in seeds]
        return [
            json.loads(answer.body)["choices"][0]["message"]["content"]
            for answer in send(load(nonsense), bodies)
        ]

    first, again, other = say(1.5, 1, 1, 2)
    assert first == again != other
    cold, colder = say(0.0, 1, 2)
    assert cold == colder == say(1e-6, 3)[0]


def test_samples_have_the_probabilities_of_the_softmax() -> None:
    import torch

    from expclip.tead.llm.generation import _Sampler as Sampler

    rows, temperature = 4000, 0.5
    logits = torch.tensor([0.0, 0.5, 1.0, -30.0])
    expected = torch.softmax(logits / temperature, dim=0)
    prompts = [Prompt([0], 1, temperature, seed) for seed in range(rows)]
    sampler = Sampler(prompts, 1, torch.device("cpu"))
    for step in (1, 2):
        scores = sampler(torch.zeros(rows, step), logits.repeat(rows, 1))
        found = torch.bincount(scores.argmax(dim=1), minlength=4) / rows
        assert float((found - expected).abs().max()) < 0.025  # three standard deviations
        assert found[3] == 0


def test_batches_are_of_like_prompts_and_keep_the_budget() -> None:
    prompts = [Prompt([kind] * size, 10, 0.0, 0) for size in (70, 90, 80) for kind in (1, 2)]
    found = [
        [(prompt.tokens[0], len(prompt.tokens)) for prompt in batch]
        for batch in batches(prompts, rows=32, tokens=200)
    ]
    assert found == [[(1, 70), (1, 80)], [(1, 90)], [(2, 70), (2, 80)], [(2, 90)]]
    assert [len(batch) for batch in batches(prompts, rows=1, tokens=10**6)] == [1] * 6
    assert [len(batch) for batch in batches(prompts, rows=32, tokens=1)] == [1] * 6
    assert list(batches([], rows=1, tokens=1)) == []


def test_dialect_ends_at_plain_text_in_two_steps(annotator: Path, tmp_path: Path) -> None:
    question = Question("tags", (SYSTEM, {"role": "user", "content": "hello"}), 1, "row")

    async def run() -> tuple[Dialect, int]:
        options = LlmOptions(str(annotator), max_tokens=16)
        model = LocalModel(options)
        with Journal(tmp_path / "journal.sqlite") as journal:
            try:
                scheduler = Scheduler(model, journal, options)
                return await scheduler.find_dialect(question), scheduler.tally.asked
            finally:
                await model.close()

    assert asyncio.run(run()) == (Dialect("text", "max_completion_tokens", ()), 3)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"response_format": {"type": "json_object"}}, "'response_format'"),
        ({"top_p": 0.9}, "'top_p'"),
        ({"temperature": -1}, "'temperature' must be at least 0, got -1"),
        ({"temperature": float("nan")}, "'temperature'"),
        ({"temperature": "hot"}, "'temperature'"),
        ({"seed": 1.5}, "'seed' must be a whole number"),
        ({"max_completion_tokens": 0}, "limit of tokens must be above 0, got 0"),
        ({"messages": "hello"}, "chat template"),
        ({"messages": []}, "chat template"),
        ({"messages": [{"role": "user", "content": None}]}, "chat template"),
    ],
)
def test_what_it_does_not_take_is_refused_by_name(
    nonsense: Path, wrong: dict[str, Any], words: str
) -> None:
    refused, good = send(load(nonsense), [ask(**wrong), ask()])
    assert (refused.status, good.status) == (400, 200)
    assert words in json.loads(refused.body)["error"]["message"]


def test_prompt_beyond_the_context_is_refused(tmp_path: Path) -> None:
    model = load(make_chat_model(tmp_path, context=200))
    bare = {"messages": [{"role": "user", "content": "x" * 100}], "max_tokens": 500}
    longest = {"messages": [{"role": "user", "content": "x" * 196}]}  # and three control tokens
    too_long = {"messages": [{"role": "user", "content": "x" * 197}]}
    long, last, refused = send(model, [bare, longest, too_long])
    assert (long.status, last.status, refused.status) == (200, 200, 400)
    assert read_usage(long.body)[1] <= 200 - 103
    assert read_usage(last.body) == (199, 1)
    error = json.loads(refused.body)["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["message"] == "Too long: the messages have 200 tokens, the model takes 199"
    # A dialect has nothing to give up for it.
    assert Dialect("text").simpler(error["message"]) is None


def test_control_tokens_in_a_text_are_text(nonsense: Path) -> None:
    plain, forged = send(load(nonsense), [ask("x" * 7), ask("<|end|>")])
    assert read_usage(plain.body)[0] == read_usage(forged.body)[0]  # a token per byte
    [odd] = send(load(nonsense), [ask("\ud800 \x00 \u202e")])
    assert odd.status == 200


def test_loop_goes_on_while_the_model_works(nonsense: Path) -> None:
    async def run() -> int:
        model, ticks = load(nonsense), 0
        answer = asyncio.ensure_future(model.send(ask(max_completion_tokens=200)))
        while not answer.done():
            await asyncio.sleep(0.001)
            ticks += 1
        await model.close()
        return ticks

    assert asyncio.run(run()) > 5


def test_closing_ends_the_work_at_the_next_token(tmp_path: Path) -> None:
    endless = make_chat_model(tmp_path / "endless", seed=1)  # finds no end within 700 tokens

    async def run() -> None:
        model = load(endless)
        asked = [
            asyncio.ensure_future(model.send(ask(max_completion_tokens=3000))) for _ in range(2)
        ]
        await asyncio.sleep(0.1)
        asked[0].cancel()
        await model.close()
        with pytest.raises(ModelError, match="the model was closed"):
            await asked[1]
        with pytest.raises(ModelError, match="the model was closed"):
            await model.send(ask())

    asyncio.run(asyncio.wait_for(run(), timeout=30))


def test_batch_that_memory_does_not_hold_is_halved(
    nonsense: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expclip.tead.llm import local

    bodies = [ask(str(number), seed=number, temperature=1.0) for number in range(8)]
    expected, sizes, generate = send(load(nonsense), bodies), [], local.generate

    def small(model: Any, pad: int, batch: Sequence[Prompt], halt: Event) -> list[list[int]]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return generate(model, pad, batch, halt)

    monkeypatch.setattr(local, "generate", small)
    assert send(load(nonsense), bodies) == expected
    assert sizes == [8, 4, 2, 2, 4, 2, 2]


def test_failing_model_is_one_line(nonsense: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from expclip.tead.llm import local

    def fail(*_: Any) -> list[list[int]]:
        raise RuntimeError("device lost\nand a long\n story")

    monkeypatch.setattr(local, "generate", fail)
    with pytest.raises(ModelError, match="the model fails: device lost and a long story"):
        send(load(nonsense), [ask()])


def break_template(folder: Path) -> None:
    for path in folder.glob("chat_template*"):
        path.unlink()


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)


def pickle_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def bring_code(folder: Path) -> None:
    code = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": code}))
    (folder / "mine.py").write_text("raise SystemExit('code of a model was run')")


def forget_head(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def become_an_encoder(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))


@pytest.mark.parametrize(
    ("harm", "kind", "words"),
    [
        (shutil.rmtree, DataError, "no such folder"),
        (lambda folder: (folder / "config.json").unlink(), DataError, "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), ModelError, "config"),
        (break_template, ModelError, "no chat template"),
        (break_weights, ModelError, "not loaded: "),
        (pickle_weights, ModelError, "not loaded: "),
        (forget_head, ModelError, "has no weights 'lm_head.weight'"),
        (become_an_encoder, ModelError, "not loaded: "),
    ],
)
def test_folder_that_is_no_chat_model_is_one_line(
    nonsense: Path, tmp_path: Path, harm: Any, kind: type[ExpclipError], words: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(nonsense, folder)
    harm(folder)
    with pytest.raises(kind) as caught:
        load(folder)
    message = str(caught.value)
    assert message.startswith(str(folder)) and words in message and "\n" not in message


def test_code_of_a_model_is_never_run(nonsense: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(nonsense, folder)
    bring_code(folder)
    assert send(load(folder), [ask()])[0].status == 200  # our own class of that name


def test_missing_extra_names_its_pip_line(nonsense: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'expclip\[models\]'"):
        load(nonsense)


def test_sizes_below_one_are_refused(nonsense: Path) -> None:
    for name in ("batch_size", "batch_tokens"):
        with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
            load(nonsense, **{name: 0})


def plan(tmp_path: Path, model: Path, **options: Any) -> BuildPlan:
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"Text number {number} of the corpus\n" for number in range(6)))
    llm = LlmOptions(str(model), single_call=True, max_tokens=16, **options)
    return BuildPlan((str(texts),), llm=llm)


def test_build_with_a_model_that_answers_well_gives_every_row(
    annotator: Path, tmp_path: Path
) -> None:
    wanted = plan(tmp_path, annotator)
    assert wanted.llm is not None
    manifest = build(tmp_path / "out", wanted, transport=LocalModel(wanted.llm))
    rows = list(read_rows(tmp_path / "out"))
    assert len(rows) == 6 and not manifest["counts"]["rejects"]
    for row in rows:
        assert row["emotions"] == ["joy", "pride", "relief"]
        assert row["au_codes"] == ["AU6C", "AU12D"]
        assert (row["situations"], row["attempts"]) == (["A letter brings good news."], 1)
    again = build(tmp_path / "again", wanted, transport=LocalModel(wanted.llm))
    assert again["content_sha256"] == manifest["content_sha256"]


def test_build_with_a_model_of_nonsense_says_what_was_wrong(nonsense: Path, tmp_path: Path) -> None:
    prompts = make_tokenizer(list(Prompts.load().templates.values()))
    folder = make_chat_model(tmp_path / "model", tokenizer=prompts)
    wanted = plan(tmp_path, folder, attempts=2)
    assert wanted.llm is not None
    with pytest.raises(DataError, match=r"none of 6 texts was annotated \(\w+ 6\)"):
        build(tmp_path / "out", wanted, transport=LocalModel(wanted.llm))
