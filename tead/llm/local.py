"""A chat model of transformers, on this machine, in the place of a server.

Questions that arrive together are answered together. A question's answer depends on its
messages, temperature and seed, and not on what it was answered with: its random numbers
are its own. What is left are the rounding errors of the model, which differ with the
batch's shape: in float32 they hardly ever change a token, in bfloat16 they can.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any

from expclip.face.errors import DataError, MissingExtra, ModelError
from expclip.tead.llm.client import LlmOptions, Response
from expclip.tead.llm.generation import Prompt, batches, generate

__all__ = ["LocalModel"]

_PARAMETERS = frozenset(
    ("model", "messages", "temperature", "seed", "max_tokens", "max_completion_tokens")
)
_GATHER_S = 0.01
"""How long to wait for more questions; those of one batch come back all but together."""

_EXPECTED = "expected a causal language model with safetensors and a chat template"


@dataclass
class _Request(Prompt):
    """A prompt, and who waits for its answer."""

    answer: asyncio.Future[Response]


class _Refusal(Exception):
    """What a server would answer with status 400."""

    def __init__(self, message: str, code: str, parameter: str | None = None) -> None:
        super().__init__(message)
        error = {"message": message, "type": "invalid_request_error", "code": code}
        body = {"error": {**error, "param": parameter}}
        self.response = Response(400, json.dumps(body, ensure_ascii=False).encode())


class LocalModel:
    """The transport to a chat model that runs here.

    It takes messages, temperature, seed and a limit of tokens, and refuses the rest as a
    server does, so that a `Dialect` comes down to what it understands: plain text. It
    samples from the whole vocabulary; at temperature 0, or none, it takes the likeliest
    token. It runs on a GPU where there is one, in the precision that its config names.

    Args:
        options: ``model`` is a folder, or a name on the Hub: a causal language model with
            safetensors and a chat template. Code that comes with a model is never run.
        batch_size: most questions answered together; halved where memory runs out.
        batch_tokens: most tokens, prompts and answers, in one batch.

    Raises:
        MissingExtra: torch or transformers is not installed.
        DataError: there is no such folder, or it holds no model.
        ModelError: the model cannot be loaded, or cannot chat.
    """

    def __init__(
        self, options: LlmOptions, *, batch_size: int = 32, batch_tokens: int = 65_536
    ) -> None:
        for name, value in (("batch_size", batch_size), ("batch_tokens", batch_tokens)):
            if value < 1:
                raise ValueError(f"{name} must be above 0, got {value}")
        self._options = options
        self._model, self._tokenizer = _load(options.model)
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._context = _context(self._model, self._tokenizer)
        self._batch_size = batch_size
        self._batch_tokens = batch_tokens
        self._waiting: list[_Request] = []
        self._worker: asyncio.Task[None] | None = None
        self._halt = threading.Event()

    async def send(self, body: Mapping[str, Any]) -> Response:
        """Answer one request, together with others that wait.

        Raises:
            ModelError: the model fails, or was closed.
        """
        if self._halt.is_set():
            raise ModelError(f"{self._options.model}: the model was closed")
        try:
            request = self._read(body)
        except _Refusal as refusal:
            return refusal.response
        self._waiting.append(request)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await request.answer

    async def close(self) -> None:
        """Stop at the next token, and let go of the model."""
        self._halt.set()
        if self._worker is not None:
            await asyncio.wait([self._worker])
        self._model = None

    def _read(self, body: Mapping[str, Any]) -> _Request:
        for name in body:
            if name not in _PARAMETERS:
                raise _Refusal(f"Unsupported parameter: {name!r}", "unsupported_parameter", name)
        limit = body.get("max_completion_tokens", body.get("max_tokens", self._options.max_tokens))
        if type(limit) is not int or limit < 1:
            raise _Refusal(f"The limit of tokens must be above 0, got {limit!r}", "invalid_value")
        warmth = body.get("temperature") or 0.0
        if type(warmth) not in (int, float) or not 0 <= warmth < math.inf:
            raise _Refusal(f"'temperature' must be at least 0, got {warmth!r}", "invalid_value")
        seed = body.get("seed") or 0
        if type(seed) is not int:
            raise _Refusal(f"'seed' must be a whole number, got {seed!r}", "invalid_value")
        tokens = self._encode(body.get("messages"))
        room = self._context - len(tokens)
        if room < 1:
            found = f"the messages have {len(tokens)} tokens, the model takes {self._context - 1}"
            raise _Refusal(f"Too long: {found}", "context_length_exceeded", "messages")
        answer = asyncio.get_running_loop().create_future()
        return _Request(tokens, min(limit, room), float(warmth), seed, answer)

    def _encode(self, messages: Any) -> list[int]:
        """Return the prompt of a conversation; control tokens in what people wrote are text."""
        try:
            said = [
                {"role": message["role"], "content": _printable(message["content"])}
                for message in messages
            ]
            tokens = self._tokenizer.apply_chat_template(
                said, add_generation_prompt=True, return_dict=False, sanitize_control_tokens=True
            )
        except Exception as error:  # a template is a program: it raises what it likes
            reason = f"The chat template refuses the messages: {_one_line(error)}"
            raise _Refusal(reason, "invalid_value", "messages") from None
        return list(tokens)

    async def _work(self) -> None:
        """Answer whatever waits, until nothing does."""
        taken: list[_Request] = []
        try:
            while self._waiting and not self._halt.is_set():
                await self._gather()
                taken = [one for one in self._waiting if not one.answer.done()]
                self._waiting = []
                for batch in batches(taken, self._batch_size, self._batch_tokens):
                    await self._answer(batch)
        except asyncio.CancelledError:
            self._halt.set()
            raise
        finally:
            self._fail((*taken, *self._waiting), "the model was closed")

    async def _gather(self) -> None:
        """Wait as long as questions keep coming in."""
        before = 0
        while before < len(self._waiting) < self._options.in_flight:
            before = len(self._waiting)
            await asyncio.sleep(_GATHER_S)

    async def _answer(self, batch: list[_Request]) -> None:
        try:
            replies = await asyncio.to_thread(self._generate, batch)
        except Exception as error:  # whatever a model raises ends the run with one line
            self._fail(batch, f"the model fails: {_one_line(error)}")
            return
        for request, tokens in zip(batch, replies, strict=True):
            if not request.answer.done() and not self._halt.is_set():
                request.answer.set_result(self._reply(request, tokens))

    def _fail(self, requests: Iterable[_Request], reason: str) -> None:
        for request in requests:
            if not request.answer.done():
                request.answer.set_exception(ModelError(f"{self._options.model}: {reason}"))

    def _reply(self, request: _Request, tokens: list[int]) -> Response:
        said = list(takewhile(lambda token: token not in self._ends, tokens))
        message = {
            "role": "assistant",
            "content": self._tokenizer.decode(said, skip_special_tokens=True),
        }
        counted = min(len(said) + 1, len(tokens))  # the end is a token too
        body = {
            "object": "chat.completion",
            "model": self._options.name,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "finish_reason": "stop" if len(said) < len(tokens) else "length",
                }
            ],
            "usage": {
                "prompt_tokens": len(request.tokens),
                "completion_tokens": counted,
                "total_tokens": len(request.tokens) + counted,
            },
        }
        return Response(200, json.dumps(body, ensure_ascii=False).encode())

    def _generate(self, batch: Sequence[Prompt]) -> list[list[int]]:
        """Return the answers of a batch; one that memory does not hold is halved."""
        import torch

        try:
            return generate(self._model, self._ends[0], batch, self._halt)
        except RuntimeError as error:
            if len(batch) == 1 or not _is_out_of_memory(error):
                raise
        self._batch_size = half = len(batch) // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self._generate(batch[:half]) + self._generate(batch[half:])


def _load(name: str) -> tuple[Any, Any]:
    """Return a model in evaluation mode on the best device, and its tokenizer."""
    try:
        import_module("torch")
        transformers: Any = import_module("transformers")
    except ImportError:
        raise MissingExtra("transformers", "models") from None
    place = _place(name)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        model, found = transformers.AutoModelForCausalLM.from_pretrained(
            place,
            dtype="auto",
            use_safetensors=True,  # never a pickle
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # files, network, another library's surprise: it is one line
        where = "not loaded" if Path(place).is_dir() else "no folder here, and not from the Hub"
        raise ModelError(f"{name}: {where}: {_one_line(error)}; {_EXPECTED}") from None
    if not tokenizer.chat_template:
        raise ModelError(f"{name}: has no chat template; {_EXPECTED}")
    if found["missing_keys"]:
        lacks = min(found["missing_keys"])
        raise ModelError(f"{name}: has no weights {lacks!r}; {_EXPECTED}")
    ends = _end_tokens(model, tokenizer)
    # Its own penalties would count the padding, and so depend on the batch.
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=list(ends), pad_token_id=ends[0]
    )
    return model.to(_device()).eval(), tokenizer


def _place(name: str) -> str:
    """Return where a model is: a folder, or its name on the Hub."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise DataError(f"{name}: holds no model of transformers (no config.json)")
        return str(folder)
    if folder.exists() or folder.is_absolute() or name[:1] in ".~" or name.count("/") > 1:
        raise DataError(f"{name}: no such folder")
    return name


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer: the model's and the tokenizer's.

    Raises:
        ModelError: neither names one.
    """
    named = model.generation_config.eos_token_id
    ends = {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id} - {None}
    if not ends:
        raise ModelError(f"{model.name_or_path}: names no token that ends an answer")
    return tuple(sorted(ends))


def _context(model: Any, tokenizer: Any) -> int:
    """Return how many tokens a prompt and its answer may have."""
    config = model.config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length)


def _is_out_of_memory(error: RuntimeError) -> bool:
    words = str(error).lower()
    return "out of memory" in words or "can't allocate memory" in words


def _printable(text: str) -> str:
    """Return a text without lone surrogates, which have no bytes."""
    return text.encode("utf-8", "replace").decode()


def _one_line(error: BaseException) -> str:
    words = str(error).split()
    text = " ".join(words)[:300].rstrip(" .:;")
    return text if len(words) > 1 else f"{type(error).__name__} {text}".strip()
