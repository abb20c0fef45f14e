"""Tiny models of transformers, made on the spot and saved to disk: no weights, no network.

make_chat_model(folder)                      random: it speaks nonsense
make_chat_model(folder, says=('{"a":', "1}"))  it always says this, token for token
make_clip(folder)                            random: texts and pictures into one space
make_wav2vec2(folder)                        random: hears 16 kHz sound
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")


def make_tokenizer(
    texts: Sequence[str] = (),
    *,
    vocabulary: int = 1000,
    pieces: Sequence[str] = (),
    chat_template: str | None = CHAT_TEMPLATE,
) -> Any:
    """Return a byte-level BPE tokenizer, trained on texts; without any, a token is a byte.

    Args:
        texts: what it is trained on.
        vocabulary: most tokens that it learns.
        pieces: strings that are one token each.
        chat_template: None for a tokenizer that cannot chat.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        show_progress=False,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(texts, trainer)
    backend.add_tokens([AddedToken(piece, normalized=False) for piece in pieces])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        additional_special_tokens=list(SPECIAL_TOKENS[2:]),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def make_chat_model(
    folder: Path,
    *,
    kind: str = "llama",
    tokenizer: Any = None,
    says: Sequence[str] = (),
    context: int = 4096,
    width: int = 32,
    layers: int = 2,
    seed: int = 0,
) -> Path:
    """Save a tiny random model that chats, with its tokenizer, and return the folder.

    Args:
        folder: where it is saved.
        kind: "llama", or another of transformers whose config has the same names.
        tokenizer: of `make_tokenizer`; a byte-level one if not given.
        says: its one answer, in pieces of one token each, all different; nonsense if empty.
            (Of a "llama".)
        context: longest sequence that it takes.
        width: of its hidden states, a multiple of 4.
        layers: how many.
        seed: of its weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tokenizer or make_tokenizer(pieces=says)
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.3,  # decided opinions: no near-ties between tokens
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
    if says:
        _rig(model, [tokenizer.convert_tokens_to_ids(token) for token in ("<|assistant|>", *says)])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_clip(folder: Path, *, width: int = 32, size: int = 16, seed: int = 0) -> Path:
    """Save a tiny random CLIP, with tokenizer and image processor, and return the folder.

    Args:
        folder: where it is saved.
        width: of its hidden states and features, a multiple of 4.
        size: of its pictures in pixels; a patch has half of it.
        seed: of its weights.
    """
    import torch
    from tokenizers import processors
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    tokenizer = make_tokenizer(chat_template=None)
    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end[0]}", special_tokens=[end]
    )
    tower = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    words = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 77,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = CLIPConfig(
        text_config=tower | words,
        vision_config={**tower, "image_size": size, "patch_size": size // 2},
        projection_dim=width,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    square = {"height": size, "width": size}
    CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size=square).save_pretrained(folder)
    return folder


def make_wav2vec2(
    folder: Path, *, width: int = 32, rate: int = 16_000, normalised: bool = True, seed: int = 0
) -> Path:
    """Save a tiny random wav2vec 2.0, with its feature extractor, and return the folder.

    Args:
        folder: where it is saved.
        width: of its hidden states, a multiple of 4.
        rate: of the sound that its feature extractor says it wants.
        normalised: whether it wants sound of mean 0 and variance 1.
        seed: of its weights.
    """
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * width,
        conv_dim=(16, 16, 16),
        conv_kernel=(20, 8, 4),
        conv_stride=(20, 4, 4),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Wav2Vec2Model(config)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=rate, do_normalize=normalised).save_pretrained(folder)
    return folder


def _rig(model: Any, chain: Sequence[int]) -> None:
    """Let each token of a chain be followed by the next, and the last by the end.

    The layers are silenced, so that the last hidden state is the last token's embedding;
    its unembedding points along the embedding of the token before it.
    """
    import torch

    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        before = torch.tensor(list(chain))
        after = torch.tensor([*chain[1:], model.config.eos_token_id])
        model.lm_head.weight.zero_()
        model.lm_head.weight[after] = 10 * torch.nn.functional.normalize(
            model.model.embed_tokens.weight[before]
        )
