"""The paper's preset with random wav2vec 2.0 and ExpCLIP of its sizes: it builds, and learns.

Run: `python benchmarks/animator/paper_preset.py [--steps 2] [--batch 4] [--clips 8]`

wav2vec 2.0 has the sizes of "base", ExpCLIP 8 + 8 layers; both have random weights, and are
frozen. What is learnt means nothing; that it is learnt is the point.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from expclip.models.animator.recipe import ANIMATOR_PRESETS
from expclip.models.animator.train import train_animator
from expclip.models.checkpoint import write_checkpoint
from expclip.models.expclip.network import ExpClipNetwork
from expclip.models.speech import SpeechCache, read_synthetic, speech_encoder


def save_wav2vec(folder: Path) -> int:
    """Save a random wav2vec 2.0 base; return the number of its parameters."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    model = Wav2Vec2Model(Wav2Vec2Config())
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return sum(value.numel() for value in model.parameters())


def main() -> None:
    """Print parameters, seconds, and the loss step by step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--clips", type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="expclip-") as name:
        folder = Path(name)
        frozen = save_wav2vec(folder / "wav2vec")
        torch.manual_seed(0)
        paper = ANIMATOR_PRESETS["paper"]
        space = ExpClipNetwork(paper.model.space)
        write_checkpoint(folder / "expclip", "ExpCLIP", space, {}, "random weights")
        encoder = speech_encoder(str(folder / "wav2vec"))
        counts = {"train": args.clips, "validation": 1, "test": 1}
        pairs = read_synthetic(encoder, clips=counts, cache=SpeechCache(folder / "cache"))
        settings = (f"steps={args.steps}", f"batch={args.batch}", "validate_every=1")
        began = time.monotonic()
        record = train_animator(
            folder / "out", pairs, paper.with_settings(settings), expclip=folder / "expclip"
        )
        seconds = time.monotonic() - began
        lines = [json.loads(line) for line in (folder / "out" / "log.jsonl").open()]
    print(f"frozen wav2vec 2.0: {frozen:,} parameters, {encoder.features} features")
    print(f"frozen ExpCLIP: {sum(value.numel() for value in space.parameters()):,} parameters")
    print(f"trained: {record['parameters']:,} parameters, {seconds:.0f} s with validation")
    losses = [line["validation"]["total"] for line in lines]
    print("validation loss, step by step: " + ", ".join(f"{loss:.4f}" for loss in losses))
    if losses[-1] >= losses[0]:
        sys.exit("the loss did not fall")


if __name__ == "__main__":
    main()
