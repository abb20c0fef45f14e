"""Made and recorded motion as distributions: by hand, by brute force, and without bias."""

from itertools import combinations, product

import numpy as np
import pytest

from expclip.benchmarks.metrics.channels import LIPS, UPPER
from expclip.benchmarks.metrics.distribution import (
    mmd2,
    mmd2_floor,
    motion_distances,
    motion_floors,
)
from expclip.face import BLENDSHAPE_INDEX


def clip(frames: int = 1, **channels: object) -> np.ndarray:
    weights = np.zeros((frames, 52))
    for name, values in channels.items():
        weights[:, BLENDSHAPE_INDEX[name]] = values
    return weights


def drawn(seed: int, lengths: tuple[int, ...] = (3, 1, 4, 2, 5)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random((frames, 52)) for frames in lengths]


def by_brute_force(truths: list[np.ndarray], made: list[np.ndarray], speakers: list[str]) -> float:
    """Return the mean of h over pairs of clips of two speakers, frame by frame."""
    found = []
    for i, j in product(range(len(truths)), repeat=2):
        if speakers[i] != speakers[j]:
            pairs = product(
                zip(truths[i], made[i], strict=True), zip(truths[j], made[j], strict=True)
            )
            h = [
                (x @ other_x + 1) ** 3 + (y @ other_y + 1) ** 3
                - (x @ other_y + 1) ** 3 - (y @ other_x + 1) ** 3
                for (y, x), (other_y, other_x) in pairs
            ]  # fmt: skip
            found.append(np.mean(h))
    return float(np.mean(found))


def test_two_clips_of_one_frame_by_hand() -> None:
    truths, made = [clip(), clip()], [clip(jawOpen=0.5), clip(jawOpen=1)]
    # (0.5 + 1)³ + 1 - 1 - 1, the same for either clip
    assert mmd2(truths, made) == pytest.approx([2.375, 2.375])
    found = motion_distances(truths, made, ["a", "b"])
    assert found["mmd2_lips"] == pytest.approx([2.375, 2.375])
    assert found["mmd2_upper"].tolist() == [0, 0]


@pytest.mark.parametrize("speakers", [list("abcde"), list("aabbb"), list("abcda")])
def test_moments_give_what_a_loop_over_frames_gives(speakers: list[str]) -> None:
    truths, made = drawn(0), drawn(1)
    expected = by_brute_force(truths, made, speakers)
    assert mmd2(truths, made, speakers).mean() == pytest.approx(expected, rel=1e-9)


def test_the_kernel_is_scikit_learns() -> None:
    from sklearn.metrics.pairwise import polynomial_kernel

    truths, made = drawn(0, (4, 3)), drawn(1, (4, 3))

    def k(one: np.ndarray, other: np.ndarray) -> float:
        found = polynomial_kernel(one, other, degree=3, gamma=1, coef0=1)
        return float(found.mean())

    expected = k(made[0], made[1]) + k(*truths) - k(made[0], truths[1]) - k(truths[0], made[1])
    assert mmd2(truths, made).mean() == pytest.approx(expected, rel=1e-9)


def test_clips_of_one_speaker_are_taken_for_themselves() -> None:
    truths, made = drawn(0), drawn(1)
    alone = by_brute_force(truths, made, list("abcde"))
    assert mmd2(truths, made, ["a"] * 5).mean() == pytest.approx(alone)
    assert mmd2(truths, made).mean() == pytest.approx(alone)


@pytest.mark.parametrize("count", [2, 3])
def test_there_is_no_bias_at_any_number_of_clips(count: int) -> None:
    """Of all samples from a small world, equally likely, the mean is the world's own."""
    world = drawn(2, (2, 2, 2))
    others = [world[1], world[2], world[0]]  # made for another clip: distributed as recorded
    frechet_means = []
    found = []
    for chosen in product(range(3), repeat=count):
        truths, made = ([kind[place] for place in chosen] for kind in (world, others))
        found.append(mmd2(truths, made).mean())
        apart = np.concatenate(made).mean(axis=0) - np.concatenate(truths).mean(axis=0)
        frechet_means.append(float(apart @ apart))
    assert np.mean(found) == pytest.approx(0, abs=1e-9)
    assert np.std(found) > 0.1
    assert np.mean(frechet_means) > 0.5 / count  # of a Fréchet distance, the part of the means


def test_samples_of_another_distribution_have_its_distance_in_the_mean() -> None:
    world, others = drawn(2, (2, 2, 2)), drawn(3, (2, 2, 2))
    found = [
        mmd2([world[i], world[j]], [others[i], others[j]]).mean()
        for i, j in product(range(3), repeat=2)
    ]
    frames, made = np.concatenate(world), np.concatenate(others)

    def k(one: np.ndarray, other: np.ndarray) -> float:
        return float(((one @ other.T + 1) ** 3).mean())

    whole = k(made, made) + k(frames, frames) - 2 * k(made, frames)
    assert np.mean(found) == pytest.approx(whole, rel=1e-9)


def test_numbers_of_clips_spread_as_the_jackknife_says() -> None:
    truths, made = drawn(0), drawn(1)
    values = mmd2(truths, made)
    whole, count = values.mean(), len(values)
    for left_out in range(count):
        rest = [place for place in range(count) if place != left_out]
        without = mmd2([truths[i] for i in rest], [made[i] for i in rest]).mean()
        pseudo = count * whole - (count - 1) * without
        shrunk = (count - 2) / (count - 1) * (pseudo - whole)
        assert values[left_out] - whole == pytest.approx(shrunk)


def test_neither_order_nor_length_of_clips_counts() -> None:
    truths, made, speakers = drawn(0), drawn(1), list("aabcc")
    found = mmd2(truths, made, speakers)
    order = [3, 0, 4, 1, 2]
    mixed = mmd2(*([kind[i] for i in order] for kind in (truths, made, speakers)))
    np.testing.assert_allclose(mixed, found[order], rtol=1e-9)
    turned = mmd2([one[::-1] for one in truths], made, speakers)
    np.testing.assert_allclose(turned, found, rtol=1e-9)
    twice = [[np.repeat(one, 2, axis=0) for one in kind] for kind in (truths, made)]
    np.testing.assert_allclose(mmd2(*twice, speakers), found, rtol=1e-9)


def test_the_recordings_have_nothing_and_a_still_mean_face_has_something() -> None:
    rng = np.random.default_rng(0)
    truths = [clip(30, jawOpen=rng.random(30), browInnerUp=rng.random(30)) for _ in range(12)]
    names = [f"{number}" for number in range(12)]
    assert mmd2(truths, truths).tolist() == [0] * 12
    floors = motion_floors(truths, names, names)
    assert floors["mmd2 of the mean face"] > 5 * floors["mmd2 floor"] > 0


def test_channels_that_should_move_together_are_missed() -> None:
    rng = np.random.default_rng(0)
    lids = [rng.random(40) for _ in range(8)]
    truths = [clip(40, eyeBlinkLeft=lid, eyeBlinkRight=lid) for lid in lids]
    made = [clip(40, eyeBlinkLeft=lid, eyeBlinkRight=rng.permutation(lid)) for lid in lids]
    assert mmd2(truths, made).mean() > 0.01


def test_the_floor_is_what_halves_differ_by() -> None:
    truths = [clip(2, jawOpen=value) for value in (0, 0, 1, 1)]
    # halves of a kind: 1 + 8 - 2; halves of both kinds: 1 + 1 - 2 * 11 / 4
    found = {
        round(mmd2_floor(truths, [f"{start}{place}" for place in range(4)], splits=1), 9)
        for start in range(20)
    }
    assert found == {7, 3.5}
    many = mmd2_floor(truths, list("abcd"), splits=500)
    assert many == pytest.approx(np.sqrt((7**2 + 2 * 3.5**2) / 3), rel=0.1)
    assert mmd2_floor([clip(3, jawOpen=0.5)] * 4, list("abcd")) == pytest.approx(0, abs=1e-12)


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(ValueError, match="two clips or more"):
        mmd2([clip()], [clip()])
    with pytest.raises(ValueError, match="1 predictions"):
        mmd2([clip(), clip()], [clip()])
    with pytest.raises(ValueError, match="prediction of clip 1: row 0 has nan for jawOpen"):
        mmd2([clip(), clip()], [clip(), clip(jawOpen=np.nan)])
    with pytest.raises(ValueError, match="four clips or more"):
        mmd2_floor([clip()] * 3, list("abc"))
    assert "mmd2 floor" not in motion_floors([clip()] * 3, list("abc"), list("abc"))


def test_lips_and_upper_face_are_measured_apart() -> None:
    truths, made = drawn(0, (3, 3)), drawn(1, (3, 3))
    found = motion_distances(truths, made, ["a", "b"])
    for name, channels in (("mmd2_lips", LIPS), ("mmd2_upper", UPPER)):
        places = [BLENDSHAPE_INDEX[channel] for channel in channels]
        kept = [[np.zeros_like(one) for one in kind] for kind in (truths, made)]
        for kind, source in zip(kept, (truths, made), strict=True):
            for one, whole in zip(kind, source, strict=True):
                one[:, places] = whole[:, places]
        assert found[name].mean() == pytest.approx(by_brute_force(*kept, ["a", "b"]))
    assert len({round(values.mean(), 6) for values in found.values()}) == 3


def test_all_halvings_together_have_no_bias() -> None:
    from expclip.benchmarks.metrics.distribution import _halves_apart

    alike = np.random.default_rng(0).random((6, 6))
    alike = alike + alike.T
    halves = [np.isin(np.arange(6), half) for half in combinations(range(6), 3)]
    assert np.mean([_halves_apart(alike, half) for half in halves]) == pytest.approx(0, abs=1e-12)
