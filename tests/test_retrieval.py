"""Retrieval: hand-computed cases, brute force over orders of ties, other programs."""

import itertools
import math
from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.benchmarks import rank_queries, retrieval_metrics
from expclip.benchmarks.metrics import cosine, retrieval
from expclip.benchmarks.metrics.cosine import MARGIN, exact_pairs, exact_table, unit_vectors
from expclip.benchmarks.metrics.relevance import diverse_keys, jaccard_gains
from expclip.benchmarks.metrics.retrieval import legacy_diagonal, rank_both
from expclip.benchmarks.metrics.ties import BATCH, TieGroups, batch_hits, one_group, tie_metrics


def heavy(rows: int = 400, seed: int = 0) -> tuple[list[str], list[int]]:
    """Return text and face keys of rows like TEAD's: a few expressions own most rows."""
    rng = np.random.default_rng(seed)
    faces = np.minimum(rng.zipf(1.4, rows), 60)
    texts = [f"text {face} {rng.integers(0, 1 + face % 7)}" for face in faces]
    return texts, faces.tolist()


def on_circle(cosines: list[float]) -> np.ndarray:
    """Return vectors with these cosines to (1, 0)."""
    return np.array([[c, math.sqrt(1 - c * c)] for c in cosines])


def by_hand(right: list[bool], k: int) -> dict[str, float]:
    """Return the metrics of one ranking without ties, from their definitions."""
    ranks = [place for place, hit in enumerate(right, 1) if hit]
    total, gallery = len(ranks), len(right)
    precisions = [(number / rank, rank) for number, rank in enumerate(ranks, 1)]
    gained = sum(1 / math.log2(rank + 1) for rank in ranks if rank <= 10)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(total, 10) + 1))
    drawn = min(BATCH - 1, gallery - total)
    batch = {}
    for best in (1, 2, 3):
        hits = []
        for number, rank in enumerate(ranks, 1):
            wrong = rank - number  # better and not relevant
            ways = sum(
                math.comb(wrong, j) * math.comb(gallery - total - wrong, drawn - j)
                for j in range(min(best, drawn + 1))
            )
            hits.append(ways / math.comb(gallery - total, drawn))
        batch[f"batch32 R@{best}"] = sum(hits) / total
    return {
        f"R@{k}": float(ranks[0] <= k),
        f"Recall@{k}": sum(rank <= k for rank in ranks) / total,
        f"P@{k}": sum(rank <= k for rank in ranks) / k,
        "R-Precision": sum(rank <= total for rank in ranks) / total,
        "mAP@R": sum(share for share, rank in precisions if rank <= total) / total,
        "mAP": sum(share for share, _ in precisions) / total,
        "MRR": 1 / ranks[0],
        "rank": float(ranks[0]),
        "nDCG@10": gained / ideal,
        **batch,
    }


def over_all_orders(blocks: list[tuple[int, int]], k: int) -> dict[str, float]:
    """Return the mean of `by_hand` over all orders of the items of each block."""
    choices = [
        [
            [place in taken for place in range(items)]
            for taken in itertools.combinations(range(items), relevant)
        ]
        for items, relevant in blocks
    ]
    found = [by_hand(list(itertools.chain(*one)), k) for one in itertools.product(*choices)]
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def groups_of(blocks: list[tuple[int, int]]) -> TieGroups:
    before = np.cumsum([0] + [items for items, _ in blocks])
    kept = [number for number, (_, relevant) in enumerate(blocks) if relevant]
    return TieGroups(
        np.zeros(len(kept), np.int64),
        before[kept],
        np.array([blocks[number][0] for number in kept]),
        np.array([blocks[number][1] for number in kept]),
        int(before[-1]),
    )


@settings(deadline=None, max_examples=40)
@given(
    blocks=st.lists(
        st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
        min_size=1,
        max_size=4,
    ).filter(lambda blocks: any(relevant for _, relevant in blocks)),
    k=st.integers(1, 12),
)
def test_closed_forms_are_means_over_all_orders(blocks: list[tuple[int, int]], k: int) -> None:
    values = tie_metrics(groups_of(blocks), (k,))
    expected = over_all_orders(blocks, k)
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        assert values[name] == pytest.approx([value], abs=1e-12), name


def test_two_relevant_among_three_tied_behind_one() -> None:
    # orders behind the first: + + -, + - +, - + +
    values = tie_metrics(groups_of([(1, 0), (3, 2)]), (1, 2, 3))
    assert values["R@1"] == [0]
    assert values["R@2"] == pytest.approx([2 / 3])
    assert values["R@3"] == pytest.approx([1])
    assert values["MRR"] == pytest.approx([(1 / 2 + 1 / 2 + 1 / 3) / 3])
    assert values["rank"] == pytest.approx([(2 + 2 + 3) / 3])
    assert values["mAP"] == pytest.approx(
        [((1 / 2 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2 + (1 / 3 + 2 / 4) / 2) / 3]
    )
    assert values["R-Precision"] == pytest.approx([(1 + 1 + 0) / 6])


def test_batches_of_32_agree_with_the_formula_and_with_drawing_them() -> None:
    # 40 items, one relevant at rank 6, tied with two others
    groups = TieGroups(np.array([0]), np.array([5]), np.array([3]), np.array([1]), 40)
    exact = [
        sum(math.comb(g, j) * math.comb(39 - g, 31 - j) / math.comb(39, 31) for j in range(3))
        for g in (5, 6, 7)
    ]
    found = batch_hits(groups)["batch32 R@3"]
    assert found == pytest.approx([sum(exact) / 3])
    rng = np.random.default_rng(0)
    draws = np.argsort(rng.random((4000, 39)), axis=1)[:, :31]
    better = (draws < 5 + rng.integers(0, 3, (4000, 1))).sum(axis=1)
    assert found == pytest.approx([(better < 3).mean()], abs=0.025)


def test_a_small_gallery_is_its_own_batch() -> None:
    assert batch_hits(groups_of([(2, 0), (1, 1), (1, 0)])) == {
        "batch32 R@1": pytest.approx([0]),
        "batch32 R@2": pytest.approx([0]),
        "batch32 R@3": pytest.approx([1]),
    }


def test_a_large_gallery_has_finite_chances() -> None:
    values = tie_metrics(one_group(np.array([1, 2, 500, 80_000]), 80_000))
    assert values["batch32 R@1"] == pytest.approx([1 / 32, 1 / 32, 1 / 32, 1])
    assert values["R@10"][:2] == pytest.approx([10 / 80_000, 1 - 79_990 * 79_989 / 80_000 / 79_999])
    assert values["MRR"][3] == pytest.approx(1)
    assert values["mAP@R"][3] == pytest.approx(1)


def test_ndcg_is_that_of_scikit_learn_with_ties() -> None:
    ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score
    rng = np.random.default_rng(3)
    cosines = rng.integers(0, 6, (30, 25)) / 8  # heavy ties
    gains = rng.random((30, 25)).round(1)
    for number in range(30):
        vectors = on_circle(cosines[number].tolist())
        found = retrieval_metrics(
            np.array([[1.0, 0.0]]), vectors, ["q"], range(25), gains=gains[[number]],
            positive_gain=float(gains[number].max()),
        )  # fmt: skip
        expected = ndcg_score(gains[[number]], cosines[[number]], k=10)
        assert found["nDCG@10"] == pytest.approx(expected, abs=1e-9)
        binary = retrieval_metrics(
            np.array([[1.0, 0.0]]), vectors, ["q"], range(25),
            relevant=[("q", item) for item in np.flatnonzero(gains[number] > 0.5).tolist()],
        )  # fmt: skip
        expected = ndcg_score(gains[[number]] > 0.5, cosines[[number]], k=10)
        assert binary["nDCG@10"] == pytest.approx(expected, abs=1e-9)


def test_graded_ndcg_with_gains_of_0_and_1_is_the_binary_one() -> None:
    rng = np.random.default_rng(4)
    queries, gallery = rng.integers(0, 3, (40, 4)) - 1.0, rng.integers(0, 3, (70, 4)) - 1.0
    keys, known = rng.integers(0, 20, 40), np.arange(70) % 20
    items = np.unique(known, return_index=True)[1]
    gains = (keys[:, None] == known).astype(float)
    binary = rank_queries(queries, gallery, keys, known)
    graded = rank_queries(queries, gallery, keys, known, gains=gains)
    again = rank_queries(
        queries, gallery[items], keys, known[items], gains=gains[:, items], positive_gain=1
    )
    assert graded.values["nDCG@10"] == pytest.approx(binary.values["nDCG@10"], abs=1e-12)
    assert graded.chance["nDCG@10"] == pytest.approx(binary.chance["nDCG@10"], abs=1e-12)
    assert again.means().keys() == binary.means().keys()


@pytest.mark.parametrize("protocol", ["class", "graded", "both"])
def test_a_constant_model_scores_chance_and_a_perfect_one_1(protocol: str) -> None:
    texts, faces = heavy()
    classes = {face: number for number, face in enumerate(sorted(set(faces)))}
    perfect = np.eye(len(classes), dtype=np.float32)[[classes[face] for face in faces]]
    noise = np.random.default_rng(1).normal(0, 3e-9, perfect.shape)
    constant = (np.full_like(perfect, 0.3) + noise).astype(np.float32)
    aus = np.array([[face >> bit & 1 for bit in range(6)] for face in faces])

    def means(embeddings: np.ndarray) -> list[dict[str, float]]:
        pairs = list(zip(texts, faces, strict=True))
        if protocol == "class":
            return [
                retrieval_metrics(embeddings, embeddings, faces, faces),
                retrieval_metrics(embeddings, embeddings, texts, faces, relevant=pairs),
                retrieval_metrics(
                    embeddings, embeddings, faces, texts, relevant=[pair[::-1] for pair in pairs]
                ),
            ]
        if protocol == "both":
            ranks = rank_both(embeddings, embeddings, texts, faces, pairs)
            return [side.means(how) for side in ranks for how in ("rows", "keys")]
        gains = jaccard_gains(aus, aus, texts, faces)
        return [
            retrieval_metrics(embeddings, embeddings, texts, faces, gains=gains, positive_gain=1.0)
        ]

    for found in means(constant):
        for name in found:
            if f"chance {name}" in found:
                assert found[name] == pytest.approx(found[f"chance {name}"], abs=1e-9), name
        assert found["R@1"] < 0.5
    for found in means(perfect):
        best = [found[name] for name in found if f"adjusted {name}" in found]
        full = {name for name in found if f"chance {name}" in found}
        full -= {name for name in full if name.startswith(("Recall@", "P@"))}
        full -= {"MedR", "mean rank"}
        if protocol == "graded":
            full -= {"nDCG@10"}  # near misses have gains too, all of them tied below
        for name in full:
            assert found[name] == pytest.approx(1, abs=1e-9), name
        assert found["MedR"] == 1
        assert best


def test_chance_is_that_of_one_over_the_number_of_items() -> None:
    texts, faces = heavy()
    blank = np.ones((len(texts), 3))
    found = retrieval_metrics(blank, blank, faces, faces)
    items = len(set(faces))
    assert found["R@1"] == pytest.approx(1 / items)
    assert found["R@5"] == found["chance R@5"] == pytest.approx(5 / items)
    assert found["MedR"] == pytest.approx((items + 1) / 2)
    assert found["adjusted R@1"] == pytest.approx(0, abs=1e-12)


def test_a_random_model_is_near_chance_though_some_items_have_many_rows() -> None:
    _, faces = heavy(3000)
    rng = np.random.default_rng(5)
    one, other = rng.normal(size=(2, 3000, 16))
    found = retrieval_metrics(one, other, faces, faces)
    assert found["mean rank"] == pytest.approx(found["chance mean rank"], abs=0.05)


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1.0])
def test_no_metric_depends_on_order_chunk_or_tile(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(6)
    texts, faces = heavy(300)
    centres = rng.normal(size=(61, 24))
    one = (centres[faces] + noise * rng.normal(size=(300, 24))).astype(np.float32)
    other = (centres[faces] + noise * rng.normal(size=(300, 24))).astype(np.float32)
    aus = np.array([[face >> bit & 1 for bit in range(6)] for face in faces])

    def all_of(order: np.ndarray, back: np.ndarray, chunk: int) -> list[dict[str, float]]:
        t, f = [texts[row] for row in order], [faces[row] for row in back]
        classes = [faces[row] for row in order]
        gains = jaccard_gains(aus[order], aus[back], t, f)
        pairs = list(zip(texts, faces, strict=True))
        a, b = one[order], other[back]
        return [
            retrieval_metrics(a, b, t, f, gains=gains, relevant=pairs, chunk=chunk),
            retrieval_metrics(a, b, classes, f, chunk=chunk),
            *(side.means() for side in rank_both(a, b, t, f, pairs, chunk=chunk)),
        ]

    straight = np.arange(300)
    expected = all_of(straight, straight, 1024)
    for chunk, columns in ((37, 16), (300, 24), (7, 2048)):
        monkeypatch.setattr(cosine, "_COLUMNS_AT_ONCE", columns)
        found = all_of(rng.permutation(300), rng.permutation(300), chunk)
        for old, new in zip(expected, found, strict=True):
            assert new == pytest.approx(old, abs=1e-9)


def test_both_directions_are_each_direction_alone() -> None:
    rng = np.random.default_rng(7)
    texts, faces = heavy(250)
    one, other = rng.normal(size=(2, 250, 8))
    pairs = list(zip(texts, faces, strict=True))
    there, back = rank_both(one, other, texts, faces, pairs)
    alone = rank_queries(one, other, texts, faces, relevant=pairs)
    alone_back = rank_queries(other, one, faces, texts, relevant=[p[::-1] for p in pairs])
    for found, expected in ((there, alone), (back, alone_back)):
        assert found.keys == expected.keys
        assert found.weights == pytest.approx(expected.weights)
        for name, value in expected.values.items():
            assert found.values[name] == pytest.approx(value, abs=1e-12), name


def test_metrics_equal_a_plain_count_on_data_without_ties() -> None:
    # the definitions that torchmetrics follows: RetrievalHitRate, -MRR, -MAP, -RPrecision
    rng = np.random.default_rng(8)
    queries, gallery = rng.normal(size=(50, 12)), rng.normal(size=(90, 12))
    keys = [(query, item) for query in range(50) for item in range(90) if rng.random() < 0.06]
    keys += [(query, query) for query in range(50)]
    found = rank_queries(queries, gallery, range(50), range(90), relevant=keys, ks=(5,))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery)]
    order = np.argsort(-(unit[0] @ unit[1].T), axis=1)
    relevant = set(keys)
    for query in range(50):
        right = [(query, item) in relevant for item in order[query].tolist()]
        for name, value in by_hand(right, 5).items():
            assert found.values[name][query] == pytest.approx(value), name


def test_cosines_within_the_margin_are_tied_and_others_are_not() -> None:
    query = np.array([[1.0, 0.0]])
    for gap, hit in ((MARGIN / 3, 0.5), (MARGIN * 3, 0.0)):
        vectors = on_circle([0.6, 0.6 + gap, 0.1])
        assert retrieval_metrics(query, vectors, [0], [0, 1, 2])["R@1"] == pytest.approx(hit)
        vectors = on_circle([0.6, 0.6 - gap, 0.1])
        found = retrieval_metrics(query, vectors, [0], [0, 1, 2])["R@1"]
        assert found == pytest.approx(1 - hit)


def test_exact_cosines_are_the_same_bits_in_any_order_and_shape() -> None:
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(40, 300)).astype(np.float32)
    one = unit_vectors(rows, np.arange(40), "rows")
    pairs = np.array([(a, b) for a in range(40) for b in range(40)])
    table = exact_table(one, one, np.arange(40), slice(None))
    assert np.array_equal(table.ravel(), exact_pairs(one, one, *pairs.T))
    shuffled = unit_vectors(rows[:, ::-1].copy(), np.arange(40), "rows")
    assert np.array_equal(table, exact_table(shuffled, shuffled, np.arange(40), slice(None)))
    plain = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    assert table == pytest.approx(plain @ plain.T, abs=6 * 2**-24 / 6**0.5)  # of 6 sigma


@pytest.mark.parametrize("dim", [2, 3, 52, 512, 1000])
def test_copies_in_other_last_digits_are_tied(dim: int) -> None:
    rng = np.random.default_rng(dim)
    faces = rng.normal(size=(300, dim)).astype(np.float32)
    copies = (faces * rng.uniform(0.1, 9, (300, 1))).astype(np.float32)
    copies *= (1 + rng.uniform(-6e-8, 6e-8, copies.shape)).astype(np.float32)
    queries = faces + 0.3 * rng.normal(size=faces.shape).astype(np.float32)
    keys = np.arange(600)
    found = rank_queries(queries, np.concatenate([faces, copies]), keys[:300], keys)
    assert np.all(found.values["rank"] % 1 == 0.5)  # between the face and its copy


def test_a_wrong_guess_of_the_error_is_noticed_and_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    # collinear vectors of one sign: sums in float32 drift
    rng = np.random.default_rng(10)
    rows = (1 + 1e-3 * rng.random((200, 700))).astype(np.float32)
    expected = rank_queries(rows[:50], rows, range(50), range(200))
    vectors = unit_vectors(rows, np.arange(200), "rows")
    table = exact_table(vectors, vectors, np.arange(50), slice(None))
    gaps = table - np.diagonal(table)[:, None]
    above, tied = (gaps > MARGIN).sum(axis=1), (np.abs(gaps) <= MARGIN).sum(axis=1)
    assert expected.values["rank"] == pytest.approx(above + (tied + 1) / 2)
    monkeypatch.setattr(cosine, "error_bound", lambda dim: 1e-3)
    for rounding, margin in ((1e-12, MARGIN), (1e-12, 1e-12)):
        monkeypatch.setattr(cosine, "_ROUNDING", rounding)
        monkeypatch.setattr(retrieval, "MARGIN", margin)
        found = rank_queries(rows[:50], rows, range(50), range(200))
        above, tied = (gaps > margin).sum(axis=1), (np.abs(gaps) <= margin).sum(axis=1)
        assert found.values["rank"] == pytest.approx(above + (tied + 1) / 2)


def test_a_zero_vector_has_cosine_0_with_everything() -> None:
    found = retrieval_metrics(np.zeros((1, 2)), np.eye(2), ["a"], ["a", "b"])
    assert found["R@1"] == pytest.approx(0.5)
    found = retrieval_metrics(np.eye(2)[:1], np.array([[0, 0], [-1, 0]]), ["a"], ["a", "b"])
    assert found["R@1"] == 1


def test_huge_and_tiny_vectors_have_their_direction() -> None:
    scale = np.array([[1e300], [1e-300]])
    assert retrieval_metrics(np.eye(2) * scale, np.eye(2), [0, 1], [0, 1])["R@1"] == 1


def test_rows_of_an_item_that_differ_stand_for_it_by_their_mean() -> None:
    # the mean direction of (1, 0) and (0, 10) is the diagonal, however long they are
    gallery = np.array([[1.0, 0], [0, 10], [1, 0.1]])
    found = rank_queries(np.array([[1.0, 1.0]]), gallery, ["a"], ["a", "a", "b"])
    assert found.values["R@1"] == [1]
    assert found.gallery == 2


def test_a_query_counts_with_its_rows_or_once() -> None:
    # "a" finds its item, in three rows; "b" does not, in one
    queries, keys = np.eye(2)[[0, 0, 0, 0]], ["a", "a", "a", "b"]
    ranks = rank_queries(queries, np.eye(2), keys, ["a", "b"])
    assert ranks.weights.tolist() == [3, 1]
    assert ranks.means()["R@1"] == 0.75
    assert ranks.means("keys")["R@1"] == 0.5
    assert ranks.means()["MedR"] == 1
    weighted = rank_queries(queries, np.eye(2), keys, ["a", "b"], weights=np.array([1, 1, 1, 9.0]))
    assert weighted.means()["R@1"] == 0.25
    assert weighted.means()["MedR"] == 2


def test_two_texts_with_two_faces_each() -> None:
    pairs = [("x", 1), ("x", 2), ("y", 2), ("y", 3)]
    texts, faces = np.eye(3)[[0, 2]], np.array([[1, 0.2, 0], [1, 0.4, 0.1], [0.2, 0, 1]])
    found = rank_queries(texts, faces, ["x", "y"], [1, 2, 3], relevant=pairs, ks=(1, 2))
    assert found.values["R@1"].tolist() == [1, 1]
    assert found.values["Recall@2"].tolist() == [1, 1]
    back = rank_queries(faces, texts, [1, 2, 3], "xy", relevant=[p[::-1] for p in pairs])
    assert back.values["R-Precision"].tolist() == [1, 1, 1]


def test_jaccard_gains_take_the_best_of_a_texts_faces() -> None:
    aus = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]])
    texts = ["two faces", "two faces", "blank", "one"]
    faces = [0, 1, 2, 3]
    gains = jaccard_gains(aus, aus, texts, faces)
    rows = np.arange(4)
    assert gains(rows[[0, 2, 3]], rows) == pytest.approx(
        np.array([[1, 1, 0, 0.5], [0, 0, 1, 0], [0.5, 0, 0, 1]])
    )
    back = jaccard_gains(aus, aus, faces, texts)
    assert back(rows, rows[[0, 2, 3]]) == pytest.approx(gains(rows[[0, 2, 3]], rows).T)


def test_an_overlap_of_four_fifths_counts_as_relevant() -> None:
    aus = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 0, 0]])
    gains = jaccard_gains(aus[:1], aus, ["q"], [0, 1, 2])
    found = retrieval_metrics(
        np.array([[1.0, 0]]), on_circle([0, 0.5, 0.9]), ["q"], [0, 1, 2],
        gains=gains, positive_gain=0.8, ks=(1, 2),
    )  # fmt: skip
    assert (found["R@1"], found["R@2"], found["MRR"]) == (0, 1, 0.5)
    logs = [1, 1 / math.log2(3), 0.5]
    ideal = logs[0] + 0.8 * logs[1] + 0.6 * logs[2]
    assert found["nDCG@10"] == pytest.approx((0.6 + 0.8 * logs[1] + logs[2]) / ideal)


def test_diverse_faces_are_farthest_first() -> None:
    aus = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]])
    # sums of distances: 0000 has 1 + 4 + 2, 0001 has 1 + 3 + 3, 1111 has 4 + 3 + 2
    assert diverse_keys(aus, 3).tolist() == [2, 0, 4]
    order = [4, 3, 2, 1, 0]
    assert [aus[order][row].tolist() for row in diverse_keys(aus[order], 3)] == [
        [1, 1, 1, 1],
        [0, 0, 0, 0],
        [1, 1, 0, 0],
    ]
    texts = ["a", "b", "a", "b", "c"]
    assert diverse_keys(aus, 3, texts).tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="3 different faces can be chosen, expected 4"):
        diverse_keys(aus, 4, texts)


def test_the_legacy_diagonal_shows_how_far_a_perfect_model_can_get() -> None:
    # three rows of one face, one of another: 1/3, 1/3, 1/3, 1
    faces = np.eye(2)[[0, 0, 0, 1]]
    found = legacy_diagonal(faces, faces, ["a", "b", "c", "d"], [0, 0, 0, 1])
    assert found["R@1"] == found["ceiling R@1"] == pytest.approx(0.5)
    assert found["chance R@1"] == pytest.approx(0.25)
    blank = legacy_diagonal(np.ones((4, 2)), faces * 0, ["a", "b", "c", "d"], [0, 0, 0, 1])
    assert blank["R@1"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": np.array([[1, np.nan], [0, 1]])}, "queries: row 0 has nan, expected finite"),
        ({"gallery": np.array([[1, 0], [0, np.inf]])}, "gallery: row 1 has inf, expected finite"),
        ({"queries": np.eye(3)}, "embeddings of length 3 and 2"),
        ({"queries": np.array([["a"]])}, "expected numbers"),
        ({"queries": np.empty((0, 2))}, "not empty"),
        ({"query_keys": ["a"]}, "query_keys: 1 keys, expected 2, one a row"),
        ({"gallery_keys": ["a", ["b"]]}, "gallery_keys: key 1 is a list, expected a string"),
        ({"query_keys": ["a", "z"]}, "query 'z' has no relevant item in the gallery, nor have 0"),
        ({"relevant": [("a", "b")]}, "query 'b' has no relevant item"),
        ({"weights": np.array([1, -1])}, "weights must be 2 finite numbers above 0"),
        ({"gains": np.eye(3)}, "gains: shape .3, 3., expected .2, 2."),
        ({"gains": -np.eye(2)}, "below 0"),
        ({"positive_gain": 0.5}, "positive_gain needs gains"),
        ({"ks": ()}, "ks and chunk must be 1 or more"),
        ({"chunk": 0}, "ks and chunk must be 1 or more"),
        ({"average": "mean"}, "average must be 'rows' or 'keys'"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_in_one_line(change: dict[str, object], message: str) -> None:
    arguments = {"queries": np.eye(2), "gallery": np.eye(2), "query_keys": ["a", "b"],
                 "gallery_keys": ["a", "b"]} | change  # fmt: skip
    with pytest.raises(ValueError, match=message) as caught:
        retrieval_metrics(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_keys_may_be_arrays_of_numbers_or_of_vectors() -> None:
    faces = np.array([[0, 1], [1, 0], [0, 1]])
    keys: list[tuple[Hashable, ...]] = [(0, 1), (1, 0)]
    found = rank_queries(faces, np.eye(2)[::-1], faces, keys)
    assert found.values["R@1"].tolist() == [1, 1]
    assert found.weights.tolist() == [2, 1]
    numbers = rank_queries(np.eye(2), np.eye(2), np.array([3, 4]), [3, 4])
    assert numbers.values["R@1"].tolist() == [1, 1]
