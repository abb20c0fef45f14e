"""Answers of a causal language model to many prompts at a time.

A prompt's answer depends on its tokens, temperature and seed, and not on the prompts
beside it: its random numbers are its own. What is left are the model's rounding errors,
which differ with the shape of the batch.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

__all__ = ["Prompt", "batches", "generate"]

_COLDEST = 1e-4
"""Temperatures below are 0: the likeliest token."""

_OPENING = 64
"""Tokens in which prompts agree that are answered together."""


@dataclass
class Prompt:
    """What is to be answered, and how.

    Attributes:
        tokens: ids of the prompt's tokens.
        limit: most tokens of the answer.
        temperature: 0 for the likeliest token.
        seed: of the sampling.
    """

    tokens: list[int]
    limit: int
    temperature: float
    seed: int


_AnyPrompt = TypeVar("_AnyPrompt", bound=Prompt)


def batches(prompts: Sequence[_AnyPrompt], rows: int, tokens: int) -> Iterator[list[_AnyPrompt]]:
    """Yield prompts that begin alike and are about as long, so that little is padded.

    Args:
        prompts: in any order.
        rows: most prompts in a batch.
        tokens: most tokens in a batch, padding and answers included; a prompt too long for
            that is a batch of its own.
    """

    def opening(prompt: Prompt) -> list[int]:
        return prompt.tokens[:_OPENING]

    batch: list[_AnyPrompt] = []
    longest = limit = 0
    for prompt in sorted(prompts, key=lambda one: (opening(one), len(one.tokens))):
        longest = max(longest, len(prompt.tokens))
        limit = max(limit, prompt.limit)
        if batch and (
            len(batch) == rows
            or (len(batch) + 1) * (longest + limit) > tokens
            or opening(prompt) != opening(batch[0])
        ):
            yield batch
            batch, longest, limit = [], len(prompt.tokens), prompt.limit
        batch.append(prompt)
    if batch:
        yield batch


def generate(
    model: Any, pad: int, batch: Sequence[Prompt], halt: threading.Event
) -> list[list[int]]:
    """Return the tokens of each prompt's answer, its end token included, up to its limit.

    After its end token, an answer is padded.

    Args:
        model: a causal language model of transformers.
        pad: token that fills up.
        batch: prompts, at least one.
        halt: set, all answers end with the next token.

    Raises:
        RuntimeError: memory does not suffice.
    """
    import torch

    with torch.inference_mode():
        return _generate(model, pad, batch, halt)


def _generate(
    model: Any, pad: int, batch: Sequence[Prompt], halt: threading.Event
) -> list[list[int]]:
    import torch

    device = model.device
    shared = _shared(batch)
    past = _read_once(model, batch[0].tokens[:shared], len(batch)) if shared else None
    if past is None:
        shared = 0
    width = max(len(prompt.tokens) for prompt in batch)
    ids = torch.full((len(batch), width), pad)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(batch):
        # What is shared, padding, what is its own: positions follow from the mask.
        own = width - len(prompt.tokens) + shared
        for columns, tokens in (
            (slice(shared), prompt.tokens[:shared]),
            (slice(own, None), prompt.tokens[shared:]),
        ):
            ids[row, columns], mask[row, columns] = torch.tensor(tokens, dtype=torch.long), 1
    limits = torch.tensor([prompt.limit for prompt in batch], device=device)
    extra = {} if past is None else {"past_key_values": past}
    output = model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=int(limits.max()),
        logits_processor=[_Sampler(batch, width, device)],
        stopping_criteria=[_Stop(limits, width, halt)],
        **extra,
    )
    rows = output[:, width:].tolist()
    return [row[: prompt.limit] for row, prompt in zip(rows, batch, strict=True)]


def _read_once(model: Any, tokens: list[int], rows: int) -> Any:
    """Return the cache of what all prompts begin with, or None where it cannot be shared.

    It can where every layer keeps all keys and values: padding may then follow it.
    """
    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer

    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        return None
    ids = torch.tensor([tokens], device=model.device)
    model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    if cache.get_seq_length() != len(tokens):  # it keeps what it has read elsewhere
        return None
    cache.batch_repeat_interleave(rows)
    return cache


def _shared(batch: Sequence[Prompt]) -> int:
    """Return how many tokens all prompts begin with, 0 if too few to be worth it."""
    if len(batch) == 1:
        return 0
    first, last = min(one.tokens for one in batch), max(one.tokens for one in batch)
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    shortest = min(len(one.tokens) for one in batch)
    same = min(sum(1 for _ in alike), shortest - 1)  # one token must be left to ask about
    return same if same >= _OPENING else 0


class _Stop:
    """Says which rows have reached their limit; all of them when told to halt."""

    def __init__(self, limits: torch.Tensor, width: int, halt: threading.Event) -> None:
        self._limits = limits
        self._width = width
        self._halt = halt

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        done = self._limits <= ids.shape[1] - self._width
        return done.fill_(True) if self._halt.is_set() else done


class _Sampler:
    """Adds noise to scores so that the largest is a sample (Gumbel-max).

    The noise of a token is a hash of the prompt's seed, the step and the token: the same
    in every batch and on every device.
    """

    def __init__(self, batch: Sequence[Prompt], width: int, device: torch.device) -> None:
        import torch

        warmth = [prompt.temperature for prompt in batch]
        self._width = width
        self._warm = torch.tensor([[value >= _COLDEST] for value in warmth], device=device)
        self._temperatures = torch.tensor(
            [[value if value >= _COLDEST else 1.0] for value in warmth], device=device
        )
        self._keys = torch.tensor([_key(prompt.seed) for prompt in batch], device=device)

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores / self._temperatures
        # Noise lies between -2.8 and 16.7: whoever is 20 behind cannot come first.
        near = scores >= scores.amax(dim=1, keepdim=True) - 20
        rows, tokens = (near & self._warm).nonzero(as_tuple=True)
        step = ids.shape[1] - self._width
        scores[rows, tokens] += _gumbel(_mix(self._keys + step)[rows], tokens)
        return scores


def _key(seed: int) -> int:
    digest = hashlib.blake2b(str(seed).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _gumbel(keys: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return Gumbel-distributed numbers, each from its key and token."""
    bits = (_mix(keys + tokens * -7046029254386353131) >> 41) & (2**23 - 1)
    uniform = (bits.float() + 0.5) / 2**23  # exact, and never 0 or 1
    return -(-uniform.log()).log()


def _mix(x: torch.Tensor) -> torch.Tensor:
    """Return 64-bit integers hashed: the finalizer of SplitMix64 (Steele et al. 2014)."""
    x = (x ^ ((x >> 30) & (2**34 - 1))) * -4658895280553007687
    x = (x ^ ((x >> 27) & (2**37 - 1))) * -7723592293110705685
    return x ^ ((x >> 31) & (2**33 - 1))
