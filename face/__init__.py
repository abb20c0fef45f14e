"""Faces: 36 action units, 52 blendshapes, the way from one to the other, drawings."""

from expclip.face.action_units import (
    ACTION_UNITS,
    AU_CODES,
    AU_INDEX,
    HARD_PAIRS,
    INTENSITIES,
    Action,
    ActionUnit,
    aus_from_codes,
    drop_conflicts,
    find_conflicts,
    parse_action,
)
from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES, canonical_name
from expclip.face.clock import Gap
from expclip.face.errors import DataError, ExpclipError, MissingExtra, ModelError, ParseError
from expclip.face.mapping import (
    AU_TO_BLENDSHAPES,
    MAPPING_VERSION,
    blendshapes_from_actions,
    blendshapes_from_aus,
)
from expclip.face.mesh import Basis, read_basis, write_basis
from expclip.face.render import render_contact_sheet, render_face, render_gif, render_png
from expclip.face.sequence import Sequence, read_sequence, write_sequence

__all__ = [
    "ACTION_UNITS",
    "AU_CODES",
    "AU_INDEX",
    "AU_TO_BLENDSHAPES",
    "BLENDSHAPES",
    "BLENDSHAPE_INDEX",
    "HARD_PAIRS",
    "INTENSITIES",
    "MAPPING_VERSION",
    "Action",
    "ActionUnit",
    "Basis",
    "DataError",
    "ExpclipError",
    "Gap",
    "MissingExtra",
    "ModelError",
    "ParseError",
    "Sequence",
    "aus_from_codes",
    "blendshapes_from_actions",
    "blendshapes_from_aus",
    "canonical_name",
    "drop_conflicts",
    "find_conflicts",
    "parse_action",
    "read_basis",
    "read_sequence",
    "render_contact_sheet",
    "render_face",
    "render_gif",
    "render_png",
    "write_basis",
    "write_sequence",
]
