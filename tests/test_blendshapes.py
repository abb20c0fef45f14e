import pytest

from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES, canonical_name


def test_there_are_52_different_shapes() -> None:
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52


def test_they_are_alphabetical_with_the_tongue_last() -> None:
    assert list(BLENDSHAPES[:51]) == sorted(BLENDSHAPES[:51])
    assert BLENDSHAPES[51] == "tongueOut"


def test_every_left_has_its_right() -> None:
    lefts = [name for name in BLENDSHAPES if name.endswith("Left")]
    assert len(lefts) == 20  # and 12 that have no sides
    assert all(name.replace("Left", "Right") in BLENDSHAPE_INDEX for name in lefts)


def test_known_places() -> None:
    assert BLENDSHAPE_INDEX["browDownLeft"] == 0
    assert BLENDSHAPE_INDEX["eyeBlinkLeft"] == 8
    assert BLENDSHAPE_INDEX["jawOpen"] == 24
    assert BLENDSHAPE_INDEX["mouthSmileRight"] == 44


@pytest.mark.parametrize("name", BLENDSHAPES)
def test_a_name_is_known_in_every_case(name: str) -> None:
    assert canonical_name(name) == name
    assert canonical_name(name[0].upper() + name[1:]) == name
    assert canonical_name(f" {name.upper()} ") == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("eyeBlink_L", "eyeBlinkLeft"),
        ("eyeBlink_R", "eyeBlinkRight"),
        ("mouthUpperUp_L", "mouthUpperUpLeft"),
        ("jawLeft", "jawLeft"),  # the raw strings of ARKit keep these four
        ("mouthRight", "mouthRight"),
    ],
)
def test_raw_strings_are_known(raw: str, name: str) -> None:
    assert canonical_name(raw) == name


@pytest.mark.parametrize("name", ["", "_neutral", "HeadYaw", "eyeBlink", "browInnerUp_L", "Happy"])
def test_other_names_are_none(name: str) -> None:
    assert canonical_name(name) is None
