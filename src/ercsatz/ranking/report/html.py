"""A ranking as a page of HTML."""

from collections.abc import Mapping
from typing import Any

from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import has_baselines, marked, p_notes, p_text, scaled_title, title
from ercsatz.ranking.report.charts import label_distributions, learning_curves
from ercsatz.ranking.report.comparisons import OTHER_TESTS, baseline_pairs, found, left_out, omnibus
from ercsatz.ranking.report.critical_difference import diagram
from ercsatz.ranking.report.layout import layout_tables
from ercsatz.ranking.report.markdown import APART
from ercsatz.ranking.report.outcome import plural
from ercsatz.ranking.report.per_class import class_tables, matrix_groups
from ercsatz.ranking.report.rarity import label_scores, label_sentences
from ercsatz.ranking.report.sentences import REFERENCES, findings, limits, methods
from ercsatz.ranking.report.tables import comparison_rows, other_tests, pair_rows, powers, score_view
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import ALPHA, RankResult
from ercsatz.reporting.figures import inline_svg
from ercsatz.reporting.html import render


def to_html(
    ranked: RankResult | ScoreTable | str,
    scale: float = 1.0,
    background: Background = Background(),  # noqa: B008 - frozen
) -> str:
    """The ranking as one HTML page that loads nothing and runs nothing: tables, figures, sentences, background.

    Args:
        ranked: from ``rank``; scores that are shown without being ranked; or a sentence that says why there are none.
        scale: what scores are multiplied with; 100 for scores from 0 to 1.
        background: what is shown beside the ranking.

    Example:
        >>> import pandas as pd
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> "<script" in to_html(rank(scores, [("nat", "org")]), scale=100)
        False
    """
    result = ranked if isinstance(ranked, RankResult) else None
    table = ranked.table if isinstance(ranked, RankResult) else ranked
    metric = title(table.metric) if isinstance(table, ScoreTable) else "nothing to rank"
    return render(
        "ercsatz.ranking.report",
        "ranking.html",
        **_heading(result, metric, background.provenance),
        findings=findings(ranked, scale),
        limits=limits(ranked, background.apart, scale),
        tiles=_tiles(result) if result else [],
        metric=metric,
        scores=score_view(ranked, scale, background.layout.p_digits) if not isinstance(ranked, str) else None,
        apart=score_view(background.apart, scale) if background.apart is not None else None,
        apart_title=APART,
        tables=layout_tables(ranked, scale, background.layout),
        background=background,
        labels=label_distributions(background),
        **_ranked_parts(result, scale, background.layout.p_digits),
        **_parts_of(table, background, result),
    )


def _heading(result: RankResult | None, metric: str, provenance: Mapping[str, str]) -> dict[str, Any]:
    where = f" on {provenance['benchmarks']}" if "benchmarks" in provenance else ""
    size = f"{plural(result.k, 'treatment')} on {plural(result.n, 'block')}" if result else None
    return {
        "title": f"{'Ranking by' if result else 'Scores:'} {metric}{where}",
        "about": [part for part in (size, provenance.get("date")) if part],
    }


def _ranked_parts(result: RankResult | None, scale: float, p_digits: int | None) -> dict[str, Any]:
    """What only a ranking has."""
    if result is None:
        return {"result": None}
    return {
        "result": result,
        "alpha": ALPHA,
        "p_notes": p_notes(result, p_digits),
        "baselines": has_baselines(result),
        "scaled_metric": scaled_title(result.table.metric, scale),
        "scale": scale,
        "comparisons": comparison_rows(result, scale) if len(result.comparisons) else [],
        "made": len(result.comparisons),
        "left_out": left_out(result),
        "rope": result.rope * scale,
        "diagram": inline_svg(
            diagram(result), "diagram", "Critical-difference diagram",
            ", ".join(
                f"{marked(result.table, str(name))}: mean rank {value / result.n:.2f}"
                for name, value in result.rank_sums.items()
            ),
        ),
        "omnibus": [test._replace(p=powers(test.p)) for test in omnibus(result)],
        "other_names": list(OTHER_TESTS.values()),
        "others": other_tests(result),
        "pairs": pair_rows(result),
        "methods": methods(result),
        "references": REFERENCES,
    }  # fmt: skip


def _parts_of(table: ScoreTable | str, background: Background, result: RankResult | None) -> dict[str, Any]:
    """What is drawn for the treatments of a table."""
    if isinstance(table, str):
        return {"classes": [], "told_of_labels": [], "matrices": [], "curves": []}
    scores = label_scores(background, table, baseline_pairs(result or table))
    return {
        "classes": class_tables(scores, table),
        "told_of_labels": label_sentences(scores),
        "matrices": matrix_groups(background, table),
        "curves": learning_curves(background, table),
    }


def _tiles(result: RankResult) -> list[tuple[str, str]]:
    """The figures that one wants first."""
    tiles = [(f"{result.k} \u00d7 {result.n}", "treatments \u00d7 blocks")]
    if result.friedman is not None and result.tests_differences:
        exact = result.friedman.p_exact
        p = result.friedman.p if exact is None else exact
        tiles.append(
            (
                f"p = {powers(p_text(p))}",
                f"do they differ at all? Friedman, {'chi-square' if exact is None else 'exact'}",
            )
        )
    if (made := len(result.comparisons)) and result.tests_differences:
        who = "differ from their baseline" if has_baselines(result) else "pairs differ"
        tiles.append((f"{found(result)} of {made}", f"{who}, corrected"))
    if result.kendalls_w is not None:
        tiles.append((f"{result.kendalls_w:.2f}", "agreement of the blocks, 0 to 1 (Kendall's W)"))
    return tiles
