"""Models: ExpCLIP, and how it is trained. Needs the extra `models`."""

from expclip.face.errors import MissingExtra

try:
    import torch  # noqa: F401
except ImportError:
    raise MissingExtra("torch", "models") from None

from expclip.models.animator_recipe import ANIMATOR_PRESETS, AnimatorPreset, AnimatorRecipe
from expclip.models.animator_training import train_animator
from expclip.models.augmentation import AUGMENTATIONS, FaceAugmentation
from expclip.models.expclip import ExpClipConfig, LossWeights
from expclip.models.features import FeatureCache
from expclip.models.model import ExpCLIP
from expclip.models.recipe import PRESETS, Preset, Recipe
from expclip.models.speaker import SpeechAnimator
from expclip.models.train import train_expclip, train_images

__all__ = [
    "ANIMATOR_PRESETS",
    "AUGMENTATIONS",
    "PRESETS",
    "AnimatorPreset",
    "AnimatorRecipe",
    "ExpCLIP",
    "ExpClipConfig",
    "FaceAugmentation",
    "FeatureCache",
    "LossWeights",
    "Preset",
    "Recipe",
    "SpeechAnimator",
    "train_animator",
    "train_expclip",
    "train_images",
]
