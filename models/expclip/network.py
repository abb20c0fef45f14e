"""ExpCLIP: a text, a face and a picture of a face in one space (paper, section 3.2).

A transformer auto-encoder of the 52 weights, and a projector for each frozen encoder
(text, image) into the space between its halves. The paper gives the layers, the losses
and the frozen encoder; how 52 numbers become tokens it does not say: `tokens` names the
choice. Losses are those of equations (1) to (4), in the reconstruction that
`expclip_losses` gives.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from expclip.face import BLENDSHAPES

__all__ = [
    "CLIP",
    "REGIONS",
    "ExpClipConfig",
    "ExpClipLosses",
    "ExpClipNetwork",
    "ExpClipOutput",
    "LossWeights",
    "expclip_losses",
    "loss_parts",
]

CLIP = "openai/clip-vit-base-patch32"
"""The frozen encoder of the paper, as the Hub names it."""

Tokens = Literal["channels", "regions", "vector"]
"""How 52 weights become tokens: one each, one a region of the face, or one in all."""

REGIONS: dict[str, tuple[str, ...]] = {
    "brows": ("brow",),
    "lids": ("eyeBlink", "eyeSquint", "eyeWide"),
    "gaze": ("eyeLook",),
    "cheeks": ("cheek", "nose"),
    "jaw": ("jaw", "mouthClose", "tongue"),
    "corners": (
        *("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
        *("mouthLeft", "mouthRight"),
    ),
    "lips": ("mouthFunnel", "mouthPucker", "mouthPress", "mouthRoll", "mouthShrug"),
    "opening": ("mouthLowerDown", "mouthUpperUp"),
}
"""Regions of the face, by the beginnings of their blendshapes' names."""


@dataclass(frozen=True)
class ExpClipConfig:
    """Sizes of the networks, and which frozen encoders they are trained with.

    The defaults are the paper's where it gives them (layers, encoders), and CLIP's own
    widths where it does not.
    """

    dim: int = 512
    """Width of the shared space."""
    width: int = 512
    """Width of the transformers."""
    layers: int = 8
    """Of the encoder, and as many of the decoder."""
    heads: int = 8
    feedforward: int = 2048
    dropout: float = 0.1
    tokens: Tokens = "channels"
    projector_width: int = 1024
    """Of the hidden layer of a projector; 0 makes it linear."""
    projector_dropout: float = 0.1
    text_encoder: str = CLIP
    text_features: int = 512
    text_sha256: str = ""
    """Of the frozen encoder's weights; empty before training."""
    image_encoder: str | None = CLIP
    """None: no image branch."""
    image_features: int = 512
    image_sha256: str = ""
    anchors: int = 0
    """Ours: places in the space for emotions, each with a typical face; set by training."""
    sharpness: float = 0.0
    """Ours: how much a prompt is drawn to the anchors near it before it becomes a face."""

    def __post_init__(self) -> None:
        sizes = ("dim", "width", "layers", "heads", "feedforward", "text_features")
        for name in (*sizes, "image_features"):
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= _LARGEST_SIZE:
                raise ValueError(f"{name} must be a number of 1 to {_LARGEST_SIZE}, got {value!r}")
        for name in ("projector_width", "anchors"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= _LARGEST_SIZE:
                raise ValueError(f"{name} must be a number of 0 to {_LARGEST_SIZE}, got {value!r}")
        if not 0 <= self.sharpness < float("inf"):
            raise ValueError(f"sharpness must be 0 or more, got {self.sharpness}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if self.layers > _MOST_LAYERS:
            raise ValueError(f"layers must be at most {_MOST_LAYERS}, got {self.layers}")
        if self.tokens not in get_args(Tokens):
            known = ", ".join(get_args(Tokens))
            raise ValueError(f"tokens must be one of {known}, got {self.tokens!r}")
        for name in ("dropout", "projector_dropout"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {value}")


_LARGEST_SIZE, _MOST_LAYERS = 1 << 16, 128
"""A config may come from anyone: no size in it shall ask for all memory there is."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses in equation (1), and of two terms of ours.

    The paper's values are lost in the available text; 1, 10, 10 is a reconstruction (its
    one public re-creation has the same). Our terms are off in the paper.
    """

    reconstruction: float = 1.0
    embedding: float = 10.0
    cross: float = 10.0
    contrastive: float = 0.0
    """Ours: of faces and prompts in one batch, the right ones shall be nearest."""
    direction: float = 0.0
    """Ours: 1 - cos of decoded and true face, whatever their strength."""
    anchor: float = 0.0
    """Ours: a prompt's own anchor shall be nearest, and anchors decode to their faces."""
    prior: float = 0.0
    """Ours: how much of an emotion's frequency the anchors' term explains away (logit
    adjustment, Menon et al. 2021): with 1 a rare one is as near as a frequent one."""
    temperature: float = 0.07
    """Of the contrastive term, and of the anchors'."""

    def __post_init__(self) -> None:
        for name in (*LOSSES, "prior", "temperature"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not self.temperature:
            raise ValueError("temperature must be above 0, got 0")


LOSSES = ("reconstruction", "embedding", "cross", "contrastive", "direction", "anchor")
"""The terms, in the order of `ExpClipLosses`."""


@dataclass(frozen=True)
class AnchorOutput:
    """The anchors of a model, the faces decoded from them, those they stand for, how often."""

    places: Float[Tensor, "anchors dim"]
    decoded: Float[Tensor, "anchors 52"]
    typical: Float[Tensor, "anchors 52"]
    shares: Float[Tensor, " anchors"]


@dataclass(frozen=True)
class ExpClipOutput:
    """What one pass over pairs gives.

    Attributes:
        expression: embeddings of the faces, E_b(b).
        reconstruction: faces decoded from embeddings of faces, D(E_b(b)), then D(E_b(b'))
            where varied faces b' were given.
        prompt: embeddings of what goes with the faces, P(E(x)).
        decoded: the faces decoded from those, D(P(E(x))).
        anchors: the model's, where it has some.
    """

    expression: Float[Tensor, "batch dim"]
    reconstruction: Float[Tensor, "faces 52"]
    prompt: Float[Tensor, "batch dim"]
    decoded: Float[Tensor, "batch 52"]
    anchors: AnchorOutput | None = None


@dataclass(frozen=True)
class ExpClipLosses:
    """The terms of equation (1), unweighted, and their weighted sum."""

    reconstruction: Float[Tensor, ""]
    embedding: Float[Tensor, ""]
    cross: Float[Tensor, ""]
    contrastive: Float[Tensor, ""]
    direction: Float[Tensor, ""]
    anchor: Float[Tensor, ""]
    total: Float[Tensor, ""]


def loss_parts(losses: ExpClipLosses) -> dict[str, Tensor]:
    """Return the terms and their sum by name."""
    return {name: getattr(losses, name) for name in (*LOSSES, "total")}


class Tokeniser(nn.Module):
    """52 weights to tokens, and back.

    A token is a group of channels. Each channel has a vector of its own, on the way in and
    on the way out; a token is the sum of its channels' vectors times their weights.
    """

    groups: Float[Tensor, "tokens 52"]

    def __init__(self, kind: Tokens, width: int) -> None:
        super().__init__()
        groups = _groups(kind)
        self.register_buffer("groups", groups, persistent=False)
        self.into = nn.Parameter(torch.randn(len(BLENDSHAPES), width))
        self.place = nn.Parameter(torch.randn(len(groups), width) * 0.02)
        self.out = nn.Parameter(torch.randn(len(BLENDSHAPES), width) * 0.1 * width**-0.5)
        self.out_bias = nn.Parameter(torch.zeros(len(BLENDSHAPES)))

    def encode(self, weights: Float[Tensor, "batch 52"]) -> Float[Tensor, "batch tokens width"]:
        """Return the tokens of faces."""
        into = self.groups[:, :, None] * self.into  # (tokens, 52, width)
        return torch.einsum("bc,tcw->btw", weights, into) + self.place

    def decode(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch 52"]:
        """Return the faces of tokens."""
        out = self.groups[:, :, None] * self.out  # (tokens, 52, width)
        return torch.einsum("btw,tcw->bc", tokens, out) + self.out_bias


def _groups(kind: Tokens) -> Float[Tensor, "tokens 52"]:
    """Return 1 where a token holds a channel; each channel is in one token."""
    if kind == "channels":
        return torch.eye(len(BLENDSHAPES))
    if kind == "vector":
        return torch.ones(1, len(BLENDSHAPES))
    rows = [[float(name.startswith(starts)) for name in BLENDSHAPES] for starts in REGIONS.values()]
    return torch.tensor(rows)


def _transformer(config: ExpClipConfig) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        config.width,
        config.heads,
        config.feedforward,
        config.dropout,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    return nn.TransformerEncoder(
        layer, config.layers, nn.LayerNorm(config.width), enable_nested_tensor=False
    )


def _projector(features: int, config: ExpClipConfig) -> nn.Sequential:
    """Return P: from a frozen encoder's features to the shared space."""
    if not config.projector_width:
        return nn.Sequential(nn.Linear(features, config.dim))
    return nn.Sequential(
        nn.Linear(features, config.projector_width),
        nn.GELU(),
        nn.Dropout(config.projector_dropout),
        nn.Linear(config.projector_width, config.dim),
    )


class ExpClipNetwork(nn.Module):
    """The trained parts: E_b, D, and the projectors of text and image."""

    typical: Float[Tensor, "anchors 52"]
    shares: Float[Tensor, " anchors"]

    def __init__(self, config: ExpClipConfig) -> None:
        super().__init__()
        self.config = config
        self.tokeniser = Tokeniser(config.tokens, config.width)
        self.summary = nn.Parameter(torch.randn(config.width) * 0.02)
        self.encoder = _transformer(config)
        self.to_space = nn.Linear(config.width, config.dim)
        self.from_space = nn.Linear(config.dim, config.width)
        self.queries = nn.Parameter(torch.randn(len(self.tokeniser.groups), config.width) * 0.02)
        self.decoder = _transformer(config)
        self.text_projector = _projector(config.text_features, config)
        self.image_projector = (
            _projector(config.image_features, config) if config.image_encoder else None
        )
        self.anchors = nn.Parameter(torch.randn(config.anchors, config.dim) * config.dim**-0.5)
        self.register_buffer("typical", torch.zeros(config.anchors, len(BLENDSHAPES)))
        self.register_buffer("shares", torch.ones(config.anchors))

    def encode_expression(self, weights: Float[Tensor, "batch 52"]) -> Float[Tensor, "batch dim"]:
        """Return E_b(b): the state of a summary token beside those of the face."""
        tokens = self.tokeniser.encode(weights)
        summary = self.summary.expand(len(tokens), 1, -1)
        states = self.encoder(torch.cat([summary, tokens], dim=1))
        embeddings: Tensor = self.to_space(states[:, 0])
        return embeddings

    def decode(self, embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch 52"]:
        """Return D(z): weights as they come, which may leave 0..1 a little."""
        summary = self.from_space(embeddings)[:, None]
        queries = self.queries.expand(len(embeddings), -1, -1)
        states = self.decoder(torch.cat([summary, queries + summary], dim=1))
        return self.tokeniser.decode(states[:, 1:])

    def sharpen(
        self, prompts: Float[Tensor, "batch dim"], sharpness: float
    ) -> Float[Tensor, "batch dim"]:
        """Return embeddings drawn to the anchors near them: softmax of cosine x sharpness.

        The higher, the more like one anchor. With a sharpness of 0, or no anchors, they stay.
        """
        if not sharpness or not len(self.anchors):
            return prompts
        return torch.softmax(sharpness * _cosines(prompts, self.anchors), dim=1) @ self.anchors

    def forward(
        self,
        weights: Float[Tensor, "batch 52"],
        features: Float[Tensor, "batch features"],
        varied: Float[Tensor, "batch 52"] | None = None,
        *,
        image: bool = False,
    ) -> ExpClipOutput:
        """Return embeddings and faces of pairs.

        Args:
            weights: the faces.
            features: of the frozen encoder, for the text or image that goes with each.
            varied: faces to reconstruct beside them.
            image: the features are those of images.

        Raises:
            ValueError: there is no image branch.
        """
        projector = self.image_projector if image else self.text_projector
        if projector is None:
            raise ValueError("this model has no image branch: its config names no image_encoder")
        faces = weights if varied is None else torch.cat([weights, varied])
        expressions, prompt = self.encode_expression(faces), projector(features)
        everything = torch.cat([expressions, prompt, self.anchors])
        sizes = [len(expressions), len(prompt), len(self.anchors)]
        reconstruction, decoded, anchors = torch.split(self.decode(everything), sizes)
        places = AnchorOutput(self.anchors, anchors, self.typical, self.shares)
        return ExpClipOutput(
            expression=expressions[: len(weights)],
            reconstruction=reconstruction,
            prompt=prompt,
            decoded=decoded,
            anchors=places if len(self.anchors) else None,
        )


def expclip_losses(
    output: ExpClipOutput,
    weights: Float[Tensor, "batch 52"],
    scale: LossWeights,
    *,
    varied: Float[Tensor, "batch 52"] | None = None,
    keys: Int[Tensor, " batch"] | None = None,
    anchors: Int[Tensor, " batch"] | None = None,
) -> ExpClipLosses:
    """Return the losses of equation (1).

    - reconstruction, equation (2): squared L2 distance of b and D(E_b(b)), and of b' and
      D(E_b(b')) where there are varied faces.
    - embedding, equation (3): 1 - cos(P(E(x)), E_b(b)), positive pairs alone.
    - cross, equation (4): squared L2 distance of b and D(P(E(x))).
    - contrastive (ours): cross entropy over the batch, both ways, where rows of one key
      (one face) are all right answers, so that duplicates are no negatives.
    - direction (ours): 1 - cos(b, D(P(E(x)))), over the rows whose b is not all 0.
    - anchor (ours): cross entropy of the cosines of P(E(x)) to all anchors, with the logarithms
      of their shares added `prior` times, over the rows that have one; and the squared L2
      distance of every anchor's decoded and typical face.

    Distances are sums over the 52 weights, means over the batch: a reconstruction, as the
    paper's text says only "L2 distance". Our terms, where their weight is 0, are not computed,
    and are 0.

    Args:
        output: of the network.
        weights: the faces, b.
        scale: weights of the terms.
        varied: b', as the network was given it.
        keys: which rows show one face; needed by the contrastive term alone.
        anchors: which each row belongs to, -1 for none; needed by the anchors' term alone.

    Raises:
        ValueError: a term is on, and what it needs is not there.
    """
    target = weights if varied is None else torch.cat([weights, varied])
    parts = {name: weights.new_zeros(()) for name in LOSSES}
    parts["reconstruction"] = (output.reconstruction - target).square().sum(1).mean()
    parts["embedding"] = (1 - functional.cosine_similarity(output.prompt, output.expression)).mean()
    parts["cross"] = (output.decoded - weights).square().sum(1).mean()
    if scale.direction:
        shown = weights.any(1)
        away = 1 - functional.cosine_similarity(output.decoded, weights)
        parts["direction"] = (away * shown).sum() / shown.sum().clamp(min=1)
    if scale.contrastive:
        if keys is None:
            raise ValueError("the contrastive loss needs the keys of the faces")
        parts["contrastive"] = _contrastive(output, keys, scale.temperature)
    if scale.anchor and output.anchors:
        if anchors is None:
            raise ValueError("the anchors' loss needs the anchors of the rows")
        parts["anchor"] = _anchored(output.prompt, output.anchors, anchors, scale)
    total = torch.stack([getattr(scale, name) * parts[name] for name in LOSSES]).sum()
    return ExpClipLosses(**parts, total=total)


def _anchored(
    prompts: Float[Tensor, "batch dim"],
    anchors: AnchorOutput,
    own: Int[Tensor, " batch"],
    scale: LossWeights,
) -> Float[Tensor, ""]:
    logits = _cosines(prompts, anchors.places) / scale.temperature  # (batch, anchors)
    logits = logits + scale.prior * anchors.shares.clamp(min=_RAREST).log()
    found = functional.cross_entropy(logits, own, ignore_index=-1, reduction="sum")
    faces = (anchors.decoded - anchors.typical).square().sum(1).mean()
    return found / (own >= 0).sum().clamp(min=1) + faces


_RAREST = 1e-6
"""Share of an anchor, at least: its logarithm must be finite."""


def _cosines(
    rows: Float[Tensor, "rows dim"], columns: Float[Tensor, "columns dim"]
) -> Float[Tensor, "rows columns"]:
    return functional.normalize(rows, dim=1) @ functional.normalize(columns, dim=1).T


def _contrastive(
    output: ExpClipOutput, keys: Int[Tensor, " batch"], temperature: float
) -> Float[Tensor, ""]:
    logits = _cosines(output.prompt, output.expression) / temperature  # (batch, batch)
    right = (keys[:, None] == keys[None, :]).to(logits.dtype)
    target = right / right.sum(1, keepdim=True)
    both = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    return both / 2
