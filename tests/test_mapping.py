import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from expclip.face.action_units import AU_CODES, AU_INDEX, INTENSITIES, Action, aus_from_codes
from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES
from expclip.face.errors import ParseError
from expclip.face.mapping import (
    AU_TO_BLENDSHAPES,
    blendshapes_from_actions,
    blendshapes_from_aus,
)

STRENGTHS = st.floats(0, 1, width=32)
VECTORS = arrays.arrays(np.float32, (5, 36), elements=STRENGTHS | st.just(0.0) | st.just(1.0))


def shown(*codes: str, strength: float = 1.0) -> dict[str, float]:
    """Return the weights that are not 0, by name."""
    weights = blendshapes_from_aus(codes, strength=strength)
    return {
        name: round(float(weight), 6)
        for name, weight in zip(BLENDSHAPES, weights, strict=True)
        if weight
    }


def both(name: str, weight: float) -> dict[str, float]:
    return {f"{name}Left": weight, f"{name}Right": weight}


def vector(*codes: int) -> np.ndarray:
    return aus_from_codes(map(str, codes))


def matrix() -> np.ndarray:
    """Return the face of each unit alone: units x shapes."""
    return np.stack([blendshapes_from_aus([f"AU{code}"]) for code in AU_CODES])


def test_the_table_has_a_row_for_each_unit_and_86_entries() -> None:
    assert tuple(AU_TO_BLENDSHAPES) == AU_CODES
    assert np.count_nonzero(matrix()) == 86


def test_the_table_has_rank_30() -> None:
    assert np.linalg.matrix_rank(matrix()) == 30


@pytest.mark.parametrize(
    ("codes", "weights"),
    [
        ((), {}),
        (("AU12",), both("mouthSmile", 1)),
        (("AU12C",), both("mouthSmile", 0.5)),
        (("L-AU12",), {"mouthSmileLeft": 1}),
        (("AU6", "AU12"), both("mouthSmile", 1) | both("cheekSquint", 1) | both("eyeSquint", 0.3)),
        (("AU6", "AU7"), both("cheekSquint", 1) | both("eyeSquint", 1)),  # 1.3, clipped
        (("AU1", "AU4"), {"browInnerUp": 1} | both("browDown", 0.6)),
        (("AU1", "L-AU4"), {"browInnerUp": 1, "browDownLeft": 0.6}),
        (("AU26",), {"jawOpen": 0.45}),
        (
            ("AU25", "AU26"),
            {"jawOpen": 0.45} | both("mouthLowerDown", 0.3) | both("mouthUpperUp", 0.15),
        ),
        (("AU19", "AU26"), {"tongueOut": 1, "jawOpen": 0.75}),  # only 25 to 27 are degrees
        (("AU61",), {"eyeLookOutLeft": 1, "eyeLookInRight": 1}),
        (("AU46",), {"eyeBlinkLeft": 1, "cheekSquintLeft": 0.4}),
        (("R-AU46",), {"eyeBlinkRight": 1, "cheekSquintRight": 0.4}),
        (("AU5", "AU46"), {"eyeBlinkLeft": 1, "cheekSquintLeft": 0.4, "eyeWideRight": 1}),
        (("AU5", "AU41"), both("eyeWide", 1) | both("eyeBlink", 0.35)),  # less than half shut
        (("AU5", "AU43"), both("eyeBlink", 1)),
        (("AU30",), {"jawLeft": 1}),
        (("R-AU30",), {"jawRight": 1}),
        (("L-AU12B", "R-AU12D"), {"mouthSmileLeft": 0.3, "mouthSmileRight": 0.75}),
        (("AU12B", "AU12D"), both("mouthSmile", 0.75)),  # said twice: the stronger
    ],
)
def test_weights_computed_by_hand(codes: tuple[str, ...], weights: dict[str, float]) -> None:
    assert shown(*codes) == pytest.approx(weights)


def test_strength_multiplies_every_unit() -> None:
    assert shown("AU12", strength=0.5) == pytest.approx(both("mouthSmile", 0.5))
    assert shown("AU12C", strength=0.5) == pytest.approx(both("mouthSmile", 0.25))


def test_a_vector_says_the_same_as_the_codes() -> None:
    for codes in ((12,), (1, 4), (25, 26), (5, 46), (30, 46), AU_CODES):
        from_codes = blendshapes_from_aus([f"AU{code}" for code in codes])
        np.testing.assert_array_equal(blendshapes_from_aus(vector(*codes)), from_codes)
        np.testing.assert_array_equal(
            blendshapes_from_aus(vector(*codes).astype(float).tolist()), from_codes
        )


def test_weights_are_float32_and_keep_the_axes_before() -> None:
    assert blendshapes_from_aus(vector(12)).dtype == np.float32
    assert blendshapes_from_aus(vector(12)).shape == (52,)
    assert blendshapes_from_aus(np.zeros((2, 3, 36))).shape == (2, 3, 52)
    assert blendshapes_from_aus(np.zeros((0, 36))).shape == (0, 52)
    assert blendshapes_from_aus([]).shape == (52,)
    assert blendshapes_from_actions([]).shape == (0, 52)


@given(VECTORS, st.floats(0.01, 1))
def test_every_weight_is_within_0_and_1(aus: np.ndarray, strength: float) -> None:
    weights = blendshapes_from_aus(aus, strength=strength)
    assert weights.min() >= 0
    assert weights.max() <= 1


@given(VECTORS)
def test_a_batch_is_the_same_as_one_by_one(aus: np.ndarray) -> None:
    one_by_one = np.stack([blendshapes_from_aus(face) for face in aus])
    np.testing.assert_allclose(blendshapes_from_aus(aus), one_by_one, atol=1e-6)


def test_each_face_of_many_has_its_own_actions() -> None:
    faces = [[Action(12)], [], [Action(46, side="R"), Action(12, "C")]]
    weights = blendshapes_from_actions(faces)
    for row, face in zip(weights, faces, strict=True):
        np.testing.assert_array_equal(row, blendshapes_from_aus(map(str, face)))


def test_unmarked_is_the_strength_of_actions_without_a_letter() -> None:
    weights = blendshapes_from_actions([[Action(12), Action(26, "E")]], unmarked=0.7)[0]
    assert weights[BLENDSHAPE_INDEX["mouthSmileLeft"]] == pytest.approx(0.7)
    assert weights[BLENDSHAPE_INDEX["jawOpen"]] == pytest.approx(0.45)


@given(st.sampled_from(AU_CODES), st.sampled_from(list(INTENSITIES)))
def test_a_unit_alone_is_its_row_times_its_intensity(code: int, letter: str) -> None:
    weights = blendshapes_from_aus([f"AU{code}{letter}"])
    expected = matrix()[AU_INDEX[code]] * INTENSITIES[letter]
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_strange_input_is_refused() -> None:
    for strength in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="strength"):
            blendshapes_from_aus(vector(12), strength=strength)
    for value in (-0.1, 1.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            blendshapes_from_aus(np.full(36, value))
    for wrong in ([0.0] * 35, [0.0] * 52):
        with pytest.raises(ValueError, match="36 entries"):
            blendshapes_from_aus(wrong)
    with pytest.raises(ParseError, match="AU99"):
        blendshapes_from_aus(["AU12", "AU99"])
