"""Our LaTeX goes through a real TeX engine, where there is one."""

import shutil
import subprocess

import pytest

from expansion import Tower, expand, growth_table
from expansion.report.grid import latex_text
from expansion.report.tables import growth_grid
from expansion.series.flow import modified_field
from expansion.series.indexed import expand_indexed
from expansion.series.notation import LATEX, indexed_sum
from expansion.trees.generate import rooted_trees

ENGINE = shutil.which("pdflatex") or shutil.which("lualatex") or shutil.which("tectonic")
pytestmark = pytest.mark.skipif(ENGINE is None, reason="no TeX engine on this machine")


def compiles(body, folder):
    source = folder / "page.tex"
    preamble = r"\documentclass{article}\usepackage{amsmath}\begin{document}"
    source.write_text(f"{preamble}\n{body}\n" + r"\end{document}", encoding="utf-8")
    command = [ENGINE, "-interaction=nonstopmode", "-halt-on-error", source.name]
    if ENGINE.endswith("tectonic"):
        command = [ENGINE, source.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


FORMULAS = {
    "abstract": lambda: expand(4, 4).latex(limit=6),
    "decoder": lambda: expand(2, 3, decoder=True).latex(limit=6),
    "every depth, tied": lambda: expand("n", 4, tied=True).latex(),
    "every depth, untied": lambda: expand_indexed(3).latex(),
    "symbols for scales": lambda: expand(Tower.abstract(3, "lambda_l"), 3).latex(),
    "irrational scales": lambda: expand(Tower.abstract(3, "1/sqrt(n)"), 3).latex(),
    "modified field": lambda: modified_field(5).latex(),
    "sums": lambda: " + ".join(indexed_sum(t, LATEX) for t in rooted_trees(5)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_compile(name, tmp_path):
    assert compiles(rf"\[ {FORMULAS[name]()} \]", tmp_path)


def test_tables_compile(tmp_path):
    table = growth_table([1, 1000], ["1", "1/sqrt(n)", "n^-0.75"], trials=4)
    assert compiles(latex_text(growth_grid(table)), tmp_path)


def test_broken_latex_is_noticed(tmp_path):
    assert not compiles(r"\[ \frac{1}{2 \]", tmp_path)
