import csv
from dataclasses import replace

import pandas as pd
import pytest

from ercsatz.config import PublishedConfig, RankConfig, RankingConfig, SliceConfig
from ercsatz.errors import UserError
from ercsatz.ranking import pivot
from ercsatz.ranking.arrange import arrange
from ercsatz.ranking.report import Background
from ercsatz.sweeps.layout import layout_of, shown_under, unmatched
from ercsatz.sweeps.rank import rank_command
from ercsatz.training.check_config import check_ranking

SETTINGS = RankingConfig(
    ["classifier", "variant"],
    ["benchmark", "test_set"],
    metric="w_f1",
    baseline="org",
    names={"compm": "CoMPM", "org": "Org", "nat": "Nat", "meld": "MELD", "classifier": "Classifier"},
    order=["compm", "meld", "org", "nat"],
    slices={"real": SliceConfig("Real test sets", {"test_set": "org"})},
    published=PublishedConfig("kaplan2025", "Kaplan et al. (2025)", "Procedia"),
)
COLUMNS = ["classifier", "variant", "benchmark", "test_set", "phase", "w_f1"]
ROWS = [
    ("compm", "nat", "meld", "org", "tstr", 0.66),
    ("compm", "nat", "meld", "org", "joint", 0.68),
    ("compm", "org", "meld", "org", "tstr", 0.65),
    ("mine", "org", "meld", "org", "tstr", 0.5),
    ("compm", "org", "emorynlp_small", "org", "tstr", 0.4),
]


def layout(rows=ROWS, scale=100.0, **changes):
    settings = replace(SETTINGS, treatment=["classifier", "variant", "phase"], **changes)
    table = pivot(pd.DataFrame(rows, columns=COLUMNS), settings.treatment, settings.block, "w_f1")
    arranged = arrange(table, settings.names, settings.order)
    return layout_of(table, arranged, settings, scale), arranged


def test_published_scores_are_matched_by_the_columns_that_both_have():
    found, _ = layout()
    assert found.published.scores.index.tolist() == ["MELD Org"]  # none for the other cut of EmoryNLP
    shown = found.published.scores.loc["MELD Org"].dropna() * 100
    assert shown.round(9).to_dict() == {"CoMPM Org tstr": 65.43, "CoMPM Nat tstr": 65.52, "CoMPM Nat joint": 65.52}
    assert (found.published.total, found.parts) == (81, ("Classifier", "variant", "phase"))


def test_it_is_told_where_no_published_score_is_of_the_table():
    assert unmatched(layout()[0]) == []
    found, _ = layout([("compm", "org", "mini", "org", "tstr", 0.4), ("compm", "nat", "mini", "org", "tstr", 0.5)])
    assert unmatched(found) == [
        "No published score of Kaplan et al. (2025) is of a treatment and a block of this table."
    ]


def test_published_scores_take_the_unit_of_the_table():
    found, _ = layout([(*row[:-1], 100 * row[-1]) for row in ROWS], scale=1.0)
    assert found.published.scores.loc["MELD Org", "CoMPM Org tstr"] == pytest.approx(65.43)


def test_slices_head_their_blocks_by_what_they_do_not_fix():
    found, _ = layout()
    assert [(part.title, dict(part.blocks)) for part in found.slices] == [
        ("Real test sets", {"MELD Org": "MELD", "emorynlp_small Org": "emorynlp_small"})
    ]


def test_published_scores_of_another_metric_are_not_shown(tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text("classifier,variant,benchmark,test_set,accuracy\ncompm,org,meld,org,0.7\n")
    with pytest.raises(UserError, match="w_f1"):
        layout(published=PublishedConfig(str(file)))
    file.write_text("classifier,variant,benchmark,test_set,w_f1\ncompm,org,meld,org,0.7\n")
    assert layout(published=PublishedConfig(str(file)))[0].published.scores.iloc[0, 0] == 0.7
    table = pivot(pd.DataFrame(ROWS, columns=COLUMNS).rename(columns={"w_f1": "macro_f1"}), *KEYS, "macro_f1")
    settings = replace(SETTINGS, metric="macro_f1")
    assert layout_of(table, arrange(table, {}, []), settings, 100).published is None


KEYS = (["classifier", "variant", "phase"], ["benchmark", "test_set"])


def test_background_has_the_names_of_the_table():
    _, arranged = layout()
    counts = pd.DataFrame()
    frame = pd.DataFrame({"treatment": ["compm_org_tstr", "gone"], "block": ["meld_org", "meld_org"]})
    shown = shown_under(Background(per_class=frame, confusions={("compm_nat_tstr", "meld_org"): counts}), arranged)
    assert shown.per_class.values.tolist() == [["CoMPM Org tstr", "MELD Org"], ["gone", "MELD Org"]]
    assert list(shown.confusions) == [("CoMPM Nat tstr", "MELD Org")]


def test_somebody_elses_table_and_paper(tmp_path):
    (tmp_path / "models.csv").write_text("dataset,bert,gpt\nsst2,91.0,93.2\nqnli,88.4,89.0\n")
    (tmp_path / "paper.csv").write_text("dataset,gpt,t5\nqnli,88.5,90.0\ncola,50.0,51.0\n")
    settings = replace(
        SETTINGS,
        metric=None,
        names={"gpt": "GPT-2", "bert": "BERT"},
        order=["gpt"],
        slices={},
        published=PublishedConfig(str(tmp_path / "paper.csv"), "A paper"),
        baseline="bert",
    )
    rank_command(RankConfig(scores=str(tmp_path / "models.csv"), output=str(tmp_path / "out"), ranking=settings))
    with (tmp_path / "out" / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["treatment"] for row in rows] == ["GPT-2", "BERT"]
    assert (rows[0]["baseline"], rows[0]["qnli_difference"], rows[1]["qnli_difference"]) == ("BERT", "0.5", "")
    assert "sst2_difference" not in rows[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"p_digits": 0}, "ranking.p_digits=0: must be 1 or more"),
        (
            {"slices": {"x": SliceConfig("X", {"dataset": "org"})}},
            r"ranking\.slices\.x\.where=.*columns of ranking\.block",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_before_anything_runs(changes, told):
    check_ranking(SETTINGS)
    with pytest.raises(UserError, match=told):
        check_ranking(replace(SETTINGS, **changes))
