"""Models: ExpCLIP, and how it is trained. Needs the extra `models`."""

from expclip.face.errors import MissingExtra

try:
    import torch  # noqa: F401
except ImportError:
    raise MissingExtra("torch", "models") from None

from expclip.models.animator.model import SpeechAnimator
from expclip.models.animator.recipe import ANIMATOR_PRESETS, AnimatorPreset, AnimatorRecipe
from expclip.models.animator.train import train_animator
from expclip.models.course import Preset
from expclip.models.expclip.augmentation import AUGMENTATIONS, FaceAugmentation
from expclip.models.expclip.model import ExpCLIP
from expclip.models.expclip.network import ExpClipConfig, LossWeights
from expclip.models.expclip.recipe import PRESETS, Recipe
from expclip.models.expclip.train import train_expclip, train_images
from expclip.models.features import FeatureCache

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
