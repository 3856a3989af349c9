"""F1 by label: groups by rarity, exact tests over seeds, and how it stands in every kind of file."""

import io
import itertools
import math
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ercsatz.ranking.report import Background, sentences_by_label, to_html, to_markdown, write
from ercsatz.ranking.report.rarity import group_of, label_scores, label_sentences, seeds_needed, to_labels_csv

SHARES = {"neutral": 0.5, "joy": 0.3, "anger": 0.15, "fear": 0.05}
PAIRS = [("compm_nat", "compm_org")]


def per_class(f1: dict[str, dict[str, list[float]]], block="meld_t0", shares=SHARES, support=10) -> pd.DataFrame:
    """Of treatment, label and a score for each seed."""
    rows = [
        (t, block, seed, label, value, support, shares.get(label, math.nan))
        for t, labels in f1.items() for label, values in labels.items() for seed, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["treatment", "block", "seed", "label", "f1", "support", "share"])


def drawn(seeds: int, gains: dict[str, float]) -> dict[str, dict[str, list[float]]]:
    rng = np.random.default_rng(0)
    org = {label: rng.uniform(0.2, 0.5, seeds) for label in SHARES}
    nat = {label: org[label] + gains.get(label, 0.0) + rng.uniform(-0.01, 0.01, seeds) for label in SHARES}
    return {t: {k: v.tolist() for k, v in f1.items()} for t, f1 in (("compm_org", org), ("compm_nat", nat))}


@pytest.fixture
def result(make):
    return make([("compm", "org"), ("compm", "nat")])


def scores_of(result, frame, pairs=PAIRS):
    return label_scores(Background(per_class=frame), result.table, pairs)


def test_groups_of_meld_by_its_published_counts():
    counts = {
        "neutral": 4710,
        "joy": 1743,
        "surprise": 1205,
        "anger": 1109,
        "sadness": 683,
        "disgust": 271,
        "fear": 268,
    }
    groups = {label: group_of(n / sum(counts.values()), 7) for label, n in counts.items()}
    assert [label for label in counts if groups[label] == "rare"] == ["sadness", "disgust", "fear"]
    assert [label for label in counts if groups[label] == "frequent"] == ["neutral", "joy"]


@given(st.lists(st.integers(1, 999), min_size=2, max_size=12))
def test_there_is_always_a_frequent_label_and_a_rarer_one_is_never_in_a_more_frequent_group(counts):
    order = ["rare", "middle", "frequent"]
    groups = [order.index(group_of(n / sum(counts), len(counts))) for n in sorted(counts)]
    assert groups == sorted(groups)
    assert groups[-1] == 2 or math.isclose(max(counts) / sum(counts), 1 / len(counts))


def test_columns_are_the_groups_and_the_labels_from_the_rarest(result):
    (found,) = scores_of(result, per_class(drawn(3, {})))
    assert [(c.name, c.labels) for c in found.columns[:3]] == [
        ("rare", ("fear",)),
        ("middle", ("anger",)),
        ("frequent", ("joy", "neutral")),
    ]
    assert [c.name for c in found.columns[3:]] == ["fear", "anger", "joy", "neutral"]
    assert [c.group for c in found.columns[3:]] == ["rare", "middle", "frequent", "frequent"]


def test_a_groups_f1_is_the_mean_of_its_labels_and_a_change_is_of_means(result):
    f1 = drawn(4, {"fear": 0.2, "joy": -0.1})
    (found,) = scores_of(result, per_class(f1))
    org, nat = found.lines
    mean = {t: {label: 100 * np.mean(v) for label, v in labels.items()} for t, labels in f1.items()}
    frequent = 2
    assert org.changes[frequent].f1 == pytest.approx((mean["compm_org"]["joy"] + mean["compm_org"]["neutral"]) / 2)
    assert math.isnan(org.changes[frequent].change)
    for column, change in zip(found.columns[3:], nat.changes[3:], strict=True):
        assert change.f1 == pytest.approx(mean["compm_nat"][column.name])
        assert change.change == pytest.approx(mean["compm_nat"][column.name] - mean["compm_org"][column.name])


@pytest.mark.parametrize("seeds", [2, 3, 9])
def test_p_is_that_of_every_sign_of_the_differences_and_scipys_with_holm(result, seeds):
    f1 = drawn(seeds, {"fear": 0.2, "anger": 0.005})
    (found,) = scores_of(result, per_class(f1))
    changes = dict(zip([c.name for c in found.columns[3:]], found.lines[1].changes[3:], strict=True))
    for label, change in changes.items():
        differences = np.subtract(f1["compm_nat"][label], f1["compm_org"][label])
        ranks = stats.rankdata(abs(differences))
        seen = abs(ranks @ np.sign(differences))
        signs = itertools.product([-1, 1], repeat=seeds)
        brute = np.mean([abs(ranks @ np.array(each)) >= seen - 1e-9 for each in signs])
        assert change.p == pytest.approx(brute)
        assert change.p == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
    ordered = sorted(change.p for change in changes.values())
    running = np.minimum(1, np.maximum.accumulate([(4 - i) * p for i, p in enumerate(ordered)]))
    assert sorted(change.p_holm for change in changes.values()) == pytest.approx(running)


def test_one_seed_has_no_p_and_only_seeds_that_both_have_are_paired(result):
    (found,) = scores_of(result, per_class(drawn(1, {})))
    assert all(math.isnan(change.p) for change in found.lines[1].changes)
    frame = per_class(drawn(4, {"fear": 0.2}))
    (found,) = scores_of(result, frame[~((frame.treatment == "compm_nat") & (frame.seed == 0))])
    assert {(c.seeds, c.p >= 0.25) for c in found.lines[1].changes} == {(3, True)}


def test_a_label_that_the_test_set_lacks_is_in_no_group(result):
    frame = per_class(drawn(2, {}))
    frame.loc[frame.label == "neutral", ["support", "f1"]] = 0
    (found,) = scores_of(result, frame)
    assert found.columns[2].labels == ("joy",)


@pytest.mark.parametrize("tests", [1, 3, 7, 28])
def test_the_seeds_that_it_takes_are_the_fewest_with_which_holm_can_show_one(tests):
    seeds = seeds_needed(tests)
    assert tests * 2 / 2**seeds < 0.05 <= tests * 2 / 2 ** (seeds - 1)


def test_sentences_say_what_rare_labels_did_and_what_can_be_found(result):
    few = label_sentences(scores_of(result, per_class(drawn(3, {"fear": 0.2}))))
    assert few[0].startswith("Rare labels on meld_t0 (fear): their mean F1 changes by +20.")
    assert few[1].startswith("With 3 seeds no change of a label's F1 can be significant")
    assert few[1].endswith("the smallest p is 0.25, and with 4 labels it takes 8 seeds.")
    (_, many) = label_sentences(scores_of(result, per_class(drawn(9, {"fear": 0.2}))))
    assert many.startswith("1 of 4 changes of a label's F1 are significant")
    assert "fear by compm_nat (+20." in many
    (_, none) = label_sentences(scores_of(result, per_class(drawn(9, {}))))
    assert none.startswith("Of 4 changes of a label's F1 none is significant")


def test_results_that_do_not_say_how_rare_labels_are_keep_their_table_and_have_no_groups(result):
    frame = per_class(drawn(3, {})).drop(columns="share")
    (found,) = scores_of(result, frame)
    assert [c.name for c in found.columns] == list(SHARES)
    assert sentences_by_label(result, Background(per_class=frame)) == []
    assert "F1 by label" not in to_markdown(result, 100, Background(per_class=frame))
    assert 'id="classes"' in to_html(result, 100, Background(per_class=frame))


def test_every_format_has_the_groups(result, tmp_path):
    background = Background(per_class=per_class(drawn(3, {"fear": 0.2})))
    names = [file.name for file in write(result, background, 100, tmp_path)]
    assert "labels.csv" in names
    for name in ("ranking.html", "ranking.md", "ranking.tex"):
        text = (tmp_path / name).read_text()
        assert all(group in text for group in ("rare", "middle", "frequent")), name
    frame = pd.read_csv(tmp_path / "labels.csv")
    assert len(frame) == 2 * (3 + 4)
    fear = frame[(frame.name == "fear") & (frame.treatment == "compm_nat")].iloc[0]
    assert (fear.group, fear.train_share, fear.support, fear.seeds, fear.p) == ("rare", 0.05, 10, 3, 0.25)
    write(result, Background(), 100, tmp_path)
    assert not (tmp_path / "labels.csv").exists()


def test_a_label_is_no_formula_in_the_csv(result):
    f1 = {t: {"=1+1": [0.5, 0.6]} for t in ("compm_org", "compm_nat")}
    found = pd.read_csv(io.StringIO(to_labels_csv(scores_of(result, per_class(f1, shares={"=1+1": 1.0})))))
    assert set(found.name[found.kind == "label"]) == {"'=1+1"}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_the_latex_compiles(result, tmp_path):
    write(result, Background(per_class=per_class(drawn(3, {"fear": 0.2}))), 100, tmp_path)
    page = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{ranking.tex}\end{document}"
    (tmp_path / "page.tex").write_text(page)
    line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
