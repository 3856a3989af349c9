import re
import shutil
import subprocess

import pandas as pd
import pytest

from ercsatz.ranking import ScoreTable, rank
from ercsatz.ranking.report import to_latex


@pytest.fixture
def typeset(tmp_path):
    """Compile tables in a plain article and return the log."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here: apt-get install texlive-latex-recommended")

    def typeset(tables: str) -> str:
        (tmp_path / "tables.tex").write_text(tables, encoding="utf-8")
        body = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{tables}\n\\end{document}\n"
        (tmp_path / "page.tex").write_text(body)
        line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=120)
        log = done.stdout.decode("latin-1")
        assert done.returncode == 0, log
        return log

    return typeset


def test_tables_of_table_4(table4):
    lines = to_latex(table4).splitlines()
    assert r" & \multicolumn{3}{c}{compm} & \multicolumn{3}{c}{emoone} & \multicolumn{3}{c}{todkat} \\" in lines
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7} \cmidrule(lr){8-10}" in lines
    (row,) = (line for line in lines if line.startswith(r"meld\_org"))
    assert r"66.50\kern.5pt{\tiny(2)} & \textbf{67.27}\kern.5pt{\tiny(1)} & 63.47\kern.5pt{\tiny(9)}" in row
    assert r"rank sum & 63 & 24 & 29 & 62 & 28 & 23 & 76 & 49 & 51 \\" in lines
    assert r"diff. from org &  & 39 & 34 &  & 34 & 39 &  & 27 & 25 \\" in lines
    (row,) = (line for line in lines if line.startswith("Bonferroni p"))
    assert r"\textbf{0.00343} & \textbf{0.01868} &" in row
    assert row.endswith(r"0.12732 & 0.20259 \\")


def test_table_4_compiles(table4, typeset):
    log = typeset(to_latex(table4))
    assert "Missing character" not in log
    assert "Overfull" not in log


def test_hostile_names_compile_as_text(hostile, typeset):
    log = typeset(to_latex(hostile[0], 100))
    assert "passwd" not in re.sub("[^a-z/]", "", log)


def test_names_that_latex_would_read_as_arguments_compile(typeset):
    scores = pd.DataFrame({"[t]": [0.5, 0.4, 0.3], "*": [0.6, 0.5, 0.4]}, index=["[2ex]", "*", ""])
    typeset(to_latex(rank(scores, [("*", "[t]")])))


def test_small_p_is_a_power_of_ten():
    scores = pd.DataFrame({"org": [0.5] * 30, "nat": [0.6] * 30}, index=[f"b{i}" for i in range(30)])
    assert r"exact p &  & $1.9\times10^{-9}$ \\" in to_latex(rank(scores, [("nat", "org")]))


def test_seeds_have_their_spread(make):
    assert r"\kern.5pt{\tiny(6)}{\tiny\,$\pm$\,0.07}" in to_latex(make(seeds=2), 100)


def test_caption_tells_scale_blocks_and_one_benchmark():
    scores = pd.DataFrame({"org": [0.5, 0.4], "nat": [0.6, 0.3]}, index=["meld_org", "meld_nat"])
    text = to_latex(rank(ScoreTable.from_frame(scores, "error_rate"), [], higher_is_better=False), 100)
    assert r"\caption{error\_rate $\times$ 100 on each block," in text
    assert "All blocks are test sets of meld: nothing follows for other benchmarks.}" in text
    assert r"error\_rate $\times$ 100 & org & nat \\" in text
    assert "memory" in text


def test_pairs_have_no_baseline():
    scores = pd.DataFrame({"a": [0.5] * 3, "b": [0.4] * 3, "c": [0.6] * 3}, index=["x", "y", "z"])
    assert "baseline" not in to_latex(rank(scores, [("b", "a"), ("c", "a"), ("c", "b")]))
    assert "its gain over its baseline" in to_latex(rank(scores, [("b", "a"), ("c", "a")]))
