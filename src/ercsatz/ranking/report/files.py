"""The report as files."""

import io
from pathlib import Path

from ercsatz.data.text_files import atomic_write
from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.critical_difference import diagram
from ercsatz.ranking.report.flat import to_csv
from ercsatz.ranking.report.html import to_html
from ercsatz.ranking.report.markdown import to_markdown
from ercsatz.ranking.report.tex import to_latex
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import RankResult
from ercsatz.reporting.figures import png, svg

_ALWAYS = ("ranking.html", "ranking.md")
_RANKED = ("ranking.csv", "ranking.tex", "ranking.png", "ranking.svg")


def write(ranked: RankResult | ScoreTable | str, background: Background, scale: float, output: Path) -> list[Path]:
    """Write ``ranking.html`` and ``ranking.md`` and, of a ranking, also ``.csv``, ``.tex``, ``.png`` and ``.svg``.

    All are made before the first is written, and each appears whole or not at all. Where nothing is ranked, the others
    of an earlier report in the same folder are deleted: they would contradict the page.

    Args:
        ranked: from ``rank``; scores that are shown without being ranked; or a sentence that says why there are none.
        background: what is shown beside the ranking.
        scale: what scores are multiplied with; 100 for scores from 0 to 1.
        output: a folder, made if it is not there.

    Returns:
        The files that were written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> [path.name for path in write("No job completed.", Background(), 1.0, folder)]
        ['ranking.html', 'ranking.md']
    """
    picture = "ranking.svg" if isinstance(ranked, RankResult) else None
    pages = (to_html(ranked, scale, background), to_markdown(ranked, scale, background, picture))
    files: dict[str, str | bytes] = dict(zip(_ALWAYS, pages, strict=True))
    if isinstance(ranked, RankResult):
        drawn = diagram(ranked)
        made = (to_csv(ranked, scale), to_latex(ranked, scale), png(drawn), svg(drawn))
        files |= dict(zip(_RANKED, made, strict=True))
    for name, content in files.items():
        _write(output / name, content)
    for name in set(_RANKED) - set(files):
        (output / name).unlink(missing_ok=True)
    return [output / name for name in files]


def _write(path: Path, content: str | bytes) -> None:
    with atomic_write(path) as file:
        if isinstance(content, str):
            file.write(content)
        else:
            assert isinstance(file, io.TextIOWrapper)
            file.buffer.write(content)
