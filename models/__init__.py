"""Models: ExpCLIP, and how it is trained. Needs the extra `models`."""

from expclip.face.errors import MissingExtra

try:
    import torch  # noqa: F401
except ImportError:
    raise MissingExtra("torch", "models") from None

from expclip.models.augmentation import AUGMENTATIONS, FaceAugmentation
from expclip.models.expclip import ExpClipConfig, LossWeights
from expclip.models.features import FeatureCache
from expclip.models.model import ExpCLIP
from expclip.models.recipe import PRESETS, Preset, Recipe
from expclip.models.train import train_expclip, train_images

__all__ = [
    "AUGMENTATIONS",
    "PRESETS",
    "ExpCLIP",
    "ExpClipConfig",
    "FaceAugmentation",
    "FeatureCache",
    "LossWeights",
    "Preset",
    "Recipe",
    "train_expclip",
    "train_images",
]
