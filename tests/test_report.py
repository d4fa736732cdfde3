"""Presentation: the same cells in every format, numbers as people read them, safe pages."""

import csv
import dataclasses
import html
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from expansion import growth_table, spectrum
from expansion.main_job import run_main_job
from expansion.report.grid import Grid, csv_text, latex_text, markdown_text, print_table
from expansion.report.numbers import energy_text, estimate_text, number_text
from expansion.report.page import Section, page_html
from expansion.report.plots import growth_figure, svg_text
from expansion.report.tables import growth_grid, spectrum_grid, spectrum_lists, tree_row
from expansion.trees.generate import rooted_trees


def silent(description, total):
    return lambda *text: None


@pytest.fixture(scope="module")
def job():
    return run_main_job(None, silent)


def test_numbers():
    assert [number_text(v) for v in (0.0, 1.0, 2.718281828, 123456.0, 1e9)] == [
        "0",
        "1",
        "2.718",
        "1.235e+05",
        "1.000e+09",
    ]
    assert energy_text(-math.inf) == "0"
    assert energy_text(1000 * math.log(2)) == "10^301.03"
    assert energy_text(math.log(1e-9)) == "10^-9.00"
    assert estimate_text(0.0, 0.0) == "1 ± 0"
    assert estimate_text(math.log(1000), 0.02) == "1000 ± 20"
    assert estimate_text(1.0, 0.9) == "10^(0.43 ± 0.39)"  # too wide for a ±


def test_every_format_shows_the_same_cells():
    grid = growth_grid(growth_table([1, 1000], ["1", "1/sqrt(n)"], trials=4))
    cells = [cell for row in grid.rows for cell in row]
    markdown = markdown_text(grid)
    assert [c.strip() for c in markdown.splitlines()[2].strip("|").split("|")] == list(grid.rows[0])
    assert markdown.count("\n") == len(grid.rows) + 1
    latex = latex_text(grid)
    assert latex.count("&") == (len(grid.headings) - 1) * (len(grid.rows) + 1)
    assert "^" not in re.sub(r"\$[^$]*\$", "", latex)  # powers only in mathematics
    assert any("10^301.03" in cell for cell in cells)
    assert "$10^{301.03}$" in latex


def test_csv_reads_back():
    rows = growth_table([1, 5000], ["1"], trials=3).to_dicts()
    back = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert [row["rule"] for row in back] == ["1", "1"]
    assert float(back[0]["energy"]) == rows[0]["energy"]
    assert back[1]["energy"] == ""  # overflowed: its log10 stands beside it
    assert float(back[1]["log10_energy"]) == rows[1]["log10_energy"]


def test_piped_tables_are_never_cut(capsys):
    wide = Grid("title", ("a", "b"), (("x" * 150, "[[],[]]"),), "a note")
    print_table(wide)
    printed = capsys.readouterr().out
    assert "x" * 150 in printed
    assert "[[],[]]" in printed
    assert "…" not in printed
    assert "a note" in printed


def test_tree_rows_hold_exact_numbers_as_text():
    rows = [tree_row(tree) for tree in rooted_trees(3)]
    assert [(row["tree"], row["symmetry"], row["factorial"], row["omega"]) for row in rows] == [
        ("[[[]]]", "1", "6", "1/3"),
        ("[[],[]]", "2", "3", "1/6"),
    ]
    assert rows[1]["order_polynomial_coefficients"] == ["0", "1/6", "-1/2", "1/3"]


def test_spectrum_lists_hold_null_for_what_no_float_holds():
    lists = spectrum_lists(spectrum(4000, "1", 2000).log_energy)
    assert lists["energy"][2000] is None
    assert lists["log10_energy"][2000] > 1000
    assert spectrum_lists(spectrum(3, "skipinit", 1).log_energy)["log10_energy"] == [0.0, None]
    shares = [float(row[2].rstrip("%")) for row in spectrum_grid(spectrum(4, "1", 4)).rows]
    assert sum(shares) == pytest.approx(100, abs=1e-3)


def test_the_page_escapes_every_text():
    grid = Grid("<b>title</b>", ("<i>",), (("<script>alert(1)</script>",),), "a & b")
    page = page_html("v", ["<u>"], [Section(grid, "<s>")])
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page


def test_figures_are_whole_svg_and_the_same_on_every_run():
    table = growth_table([1, 10], ["1", "1/n"], trials=3)
    first, again = (svg_text(growth_figure(table, table)) for _ in range(2))
    assert first == again
    assert ElementTree.fromstring(first).tag.endswith("svg")


def test_the_main_job_shows_everything(job):
    text = "\n".join(job.terms)
    assert "λ³ [ Σ_{i<j<k} fₖ′fⱼ′fᵢ + ½ Σ_{i,j<k} fₖ″(fᵢ, fⱼ) ]" in text
    titles = [grid.title for grid in job.grids()]
    assert titles[:5] == [
        "Terms of each order",
        "Signal growth",
        "What scale does which bound ask for",
        "Growth of each bound with depth",
        f"Order spectrum of the network, n = {job.saved.tower.depth}",
    ]
    assert {row.depth for row in job.growth} == {1, 10, 100, 1000}
    assert all(row.simulated is not None for row in job.growth)
    assert job.frozen.errors[-1] < 1e-12
    assert job.series.errors[-1] < job.series.errors[0]
    json.dumps(job.to_dict(), allow_nan=False)


def test_the_page_loads_nothing_from_elsewhere(job):
    page = job.to_html()
    assert page.count("<svg") == 2
    assert "<script" not in page
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert links == []
    assert job.verdict() in html.unescape(page)


def test_a_failed_check_fails_the_job(job):
    failed = {
        "id": "E1",
        "passed": False,
        "verdict": "REFUTED",
        "saboteur": "",
        "reach": "",
        "cases": 1,
        "seconds": 0.0,
    }
    broken = dataclasses.replace(job, checks={"passed": False, "results": [failed]})
    assert not broken.passed
    assert broken.verdict() == "FAILED: E1."
    assert 'class="failed"' in broken.to_html()


def test_the_embedded_network_is_small_and_has_inputs(job):
    assert job.saved.inputs is not None
    assert job.saved.labels is not None
    output = job.saved.tower(job.saved.inputs)
    accuracy = (output.argmax(axis=-1) == job.saved.labels).mean()
    assert accuracy > 0.9
    assert "test accuracy" in job.saved.description
