"""The paper's preset with a random CLIP ViT-B/32: it builds, and its loss falls.

Run: `python benchmarks/expclip/paper_preset.py [--steps 2] [--batch 32] [--rows 100]`

CLIP has the sizes of ViT-B/32 and random weights, saved to a folder with a tokenizer that
splits texts into bytes. What is learnt means nothing; that it is learnt is the point.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from expclip.models import PRESETS, FeatureCache, train_expclip
from expclip.models.encoders import text_encoder
from expclip.tead import BuildPlan, CorpusOptions, build


def save_clip(folder: Path) -> int:
    """Save a random CLIP of the sizes of ViT-B/32; return the number of its parameters."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig())
    model.save_pretrained(folder)
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=letters))
    text = model.config.text_config
    backend.add_special_tokens(["<start>", "<end>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<end>", eos_token="<end>", bos_token="<start>"
    )
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = tokenizer.eos_token_id
    (folder / "config.json").write_text(json.dumps(config))
    CLIPImageProcessorPil().save_pretrained(folder)
    assert len(tokenizer) < text.vocab_size
    return sum(value.numel() for value in model.parameters())


def main() -> None:
    """Print parameters, and the loss before and after."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rows", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="expclip-") as name:
        folder = Path(name)
        frozen = save_clip(folder / "clip")
        build(folder / "tead", BuildPlan(("core",), CorpusOptions(limit=args.rows)))
        preset = PRESETS["paper"].with_settings(
            [
                f"model.text_encoder={folder / 'clip'}",
                f"steps={args.steps}",
                f"batch={args.batch}",
                "validate_every=1",
                "validation=0.2",
            ]
        )
        record = train_expclip(
            folder / "out", folder / "tead", preset, cache=FeatureCache(folder / "cache")
        )
        lines = [json.loads(line) for line in (folder / "out" / "log.jsonl").open()]
        features = text_encoder(str(folder / "clip")).features
    print(f"frozen CLIP: {frozen:,} parameters, {features} features")
    print(f"trained: {record['parameters']:,} parameters")
    losses = [line["validation"]["total"] for line in lines]
    print("validation loss, step by step: " + ", ".join(f"{loss:.4f}" for loss in losses))
    if losses[-1] >= losses[0]:
        sys.exit("the loss did not fall")


if __name__ == "__main__":
    main()
