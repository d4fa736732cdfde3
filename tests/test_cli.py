"""The expansion command as its users and their scripts meet it."""

import math
import os
import shlex
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_expand_lists_every_term(answer):
    terms = answer("expand", "--depth", 3, "--order", 3)["terms"]
    assert len(terms) == 3 + 3 + 5
    by_tree = {term["tree"]: term for term in terms}
    assert by_tree["3[2,1]"] == {
        "order": 3,
        "tree": "3[2,1]",
        "coefficient": "1",
        "latex": "f_3''(f_2, f_1)",
    }
    assert by_tree["3[1,1]"]["coefficient"] == "1/2"


def test_expand_tied_with_a_symbolic_depth(answer):
    terms = answer("expand", "--depth", "n", "--order", 3, "--tied")["terms"]
    assert {term["tree"]: term["coefficient"] for term in terms} == {
        "[]": "n",
        "[[]]": "n*(n - 1)/2",
        "[[[]]]": "n*(n - 2)*(n - 1)/6",
        "[[],[]]": "n*(n - 1)*(2*n - 1)/12",
    }


def test_expand_with_a_symbolic_depth_gives_sums(answer, command):
    terms = answer("expand", "--depth", "n", "--order", 3)["terms"]
    assert [(term["tree"], term["coefficient"], term["latex"]) for term in terms[2:]] == [
        ("2[1,1]", "1/2", r"\sum_{i<j} f_j''(f_i, f_i)"),
        ("3[2,1]", "1", r"\sum_{i<j<k} f_k''(f_j, f_i)"),
        ("3[2[1]]", "1", r"\sum_{i<j<k} f_k' f_j' f_i"),
    ]
    assert "Σ_{i<j} fⱼ′fᵢ" in command("expand", "--depth", "n", "--order", 2)[1]


def test_expand_in_one_dimension_collapses_isomeric_trees(answer, command):
    terms = answer("expand", "--depth", 4, "--order", 4, "--scalar")["terms"]
    assert sum(term["order"] == 4 for term in terms) == 31
    assert "½ f₂″ f₁²" in command("expand", "--depth", 2, "--order", 3, "--scalar")[1]


def test_expand_with_a_symbolic_depth_and_a_decoder(command):
    text = command("expand", "--depth", "n", "--order", 2, "--decoder")[1]
    assert text.splitlines()[2] == (
        "  + λ² [ ½ Σ_{i} D″(fᵢ, fᵢ) + Σ_{i<j} D″(fⱼ, fᵢ) + Σ_{i<j} D′fⱼ′fᵢ ]"
    )


def test_expand_with_a_symbol_for_every_scale(answer):
    terms = answer("expand", "--depth", 2, "--order", 3, "--rule", "lambda_l")["terms"]
    assert terms[-1]["coefficient"] == "lambda_1**2*lambda_2/2"


def test_expand_with_decoder_rule_and_latex(answer, command):
    terms = answer("expand", "--depth", 2, "--order", 2, "--decoder", "--rule", "1/n")["terms"]
    assert {t["tree"]: t["coefficient"] for t in terms}["D[1,1]"] == "1/8"
    code, out, _ = command("expand", "--depth", 2, "--order", 2, "--format", "latex")
    assert code == 0
    assert out.strip() == (
        r"H_2(x) = x + \lambda \left[f_1 + f_2\right] + \lambda^{2} \left[f_2' f_1\right] "
        r"+ O(\lambda^{3})"
    )


def test_count_is_exact_at_any_size(answer):
    counts = answer("count", "--depth", 1000, "--order", 500, "--kind", "paths")["counts"]
    assert len(counts) == 501
    assert int(counts[500]) == math.comb(1000, 500)
    weighted = answer("count", "--depth", 5, "--order", 5, "--kind", "weighted")["counts"]
    assert [Fraction(c) for c in weighted] == [1, 5, 10, 25, Fraction(200, 3), Fraction(2183, 12)]
    trees = answer("count", "--depth", 5, "--order", 5, "--kind", "trees")["counts"]
    assert trees == ["1", "5", "10", "30", "90", "279"]


def test_trees_lists_every_shape(answer):
    trees = answer("trees", "--order", 5)["trees"]
    assert len(trees) == 1 + 1 + 2 + 4 + 9


@pytest.mark.parametrize(
    "arguments",
    [
        ("--depth", "1", "10", "--rule", "1", "1/n"),
        ("--depth", "1,10", "--rule", "1,1/n"),
        ("--depth=1,10", "--rule=1", "--rule=1/n"),
        ("--depth", "1", "--depth", "10", "--rule", "1", "--rule", "1/n"),
    ],
)
def test_growth_takes_several_depths_and_rules_in_every_way(answer, arguments):
    rows = answer("growth", *arguments)["rows"]
    assert [(row["rule"], row["depth"]) for row in rows] == [
        ("1", 1),
        ("1", 10),
        ("1/n", 1),
        ("1/n", 10),
    ]
    assert rows[1]["energy"] == 1024
    assert rows[1]["log10_energy"] == pytest.approx(math.log10(1024))
    assert rows[1]["mean_order"] == 5
    assert rows[1]["worst_case_log10"] == pytest.approx(math.log10(1024))


def test_growth_simulates_with_a_seed(answer):
    arguments = ("growth", "--depth", 20, "--rule", "1/sqrt(n)", "--simulate", 50, "--seed")
    one, again, other = (answer(*arguments, seed)["rows"][0] for seed in (1, 1, 2))
    assert one == again
    assert one["simulated_energy"] != other["simulated_energy"]
    assert one["trials"] == 50


@pytest.mark.parametrize("format", ["text", "csv", "markdown", "latex"])
def test_growth_formats(command, format):
    code, out, _ = command("growth", "--depth", 10, "--rule", "1", "--format", format)
    assert code == 0
    assert "1024" in out


def test_growth_reads_a_rule_from_a_file(answer, tmp_path):
    path = tmp_path / "scales.txt"
    path.write_text("# three blocks\n1\n1/2\n\n0.25\n")
    (row,) = answer("growth", "--depth", 3, "--rule", f"@{path}")["rows"]
    assert row["energy"] == pytest.approx(2 * 1.25 * 1.0625)


def test_spectrum(answer):
    found = answer("spectrum", "--depth", 10, "--rule", "1", "--order", 3)
    assert found["energy"] == pytest.approx([1, 10, 45, 120])
    assert found["log10_energy"] == pytest.approx([math.log10(e) for e in (1, 10, 45, 120)])


def test_a_request_too_large_is_answered_with_its_size_and_an_alternative(command):
    code, out, err = command("expand", "--depth", 50, "--order", 50)
    assert (code, out) == (2, "")
    assert (
        "23110466132141396143483025308973075420272194577357035540623875859771941901812389981" in err
    )
    assert "jet_orders" in err
    assert command("expand", "--depth", 4, "--order", 3, "--budget", 3)[0] == 2
    assert command("trees", "--order", 40)[0] == 2


BAD = [
    ("expand", "--depth", "0", "--order", "2"),
    ("expand", "--depth", "-3", "--order", "2"),
    ("expand", "--depth", "three", "--order", "2"),
    ("expand", "--depth", "3", "--order", "-1"),
    ("expand", "--depth", "3", "--order", "two"),
    ("expand", "--depth", "n", "--order", "2", "--scalar"),
    ("expand", "--depth", "m", "--order", "2"),
    ("expand", "--depth", "3", "--order", "2", "--rule", "half"),
    ("expand", "--depth", "n", "--order", "2", "--tied", "--rule", "1/n"),
    ("expand", "--depth", "3", "--order", "2", "--rule", "1e-400"),
    ("expand", "--depth", "n", "--order", "1000"),
    ("expand", "--depth", "3"),
    ("count", "--depth", "3", "--order", "2", "--kind", "leaves"),
    ("count", "--depth", "0", "--order", "2"),
    ("count", "--depth", "10", "--order", "999999999999"),
    ("count", "--depth", "2000", "--order", "2000", "--kind", "trees"),
    ("trees", "--order", "0"),
    ("growth", "--depth", "10", "--rule", "sqrt"),
    ("growth", "--depth", "10", "--rule", "nan"),
    ("growth", "--depth", "10", "--rule", "inf"),
    ("growth", "--depth", "10", "--rule", "@missing.txt"),
    ("growth", "--depth", "10", "--rule", "__import__('os').system('true')"),
    ("growth", "--depth", "0", "--rule", "1"),
    ("growth", "--depth", "--rule", "1"),
    ("growth", "--depth", "10", "--rule", "1", "--branch", "cubic"),
    ("growth", "--depth", "10", "--rule", "1", "--simulate", "1"),
    ("growth", "--depth", "10", "--rule", "1", "--simulate", "5", "--seed", "-1"),
    ("growth", "--depth", "10", "--rule", "1", "--format", "yaml"),
    ("spectrum", "--depth", "3", "--rule", "1", "--order", "1.5"),
    ("spectrum", "--depth", "10000000", "--rule", "1", "--order", "100000"),
    ("report", "--weights", "missing.safetensors"),
    ("report", "--output", "missing/report.html"),
    ("report", "--format", "html"),
    ("unknown",),
    ("expand", "--unknown"),
]


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_exit_code_two(command, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert ";" in err  # how to mend it
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_checks(monkeypatch):
    """As where proofs_check is not installed: test_report.py has the report with its verdicts."""
    monkeypatch.setattr("expansion.main_job.entry_points", lambda group: ())


def test_report_writes_a_page_whole_and_prints_everything(command, tmp_path, no_checks):
    page = tmp_path / "report.html"
    code, out, err = command("report", "--output", page)
    assert code == 0
    for words in ("fₖ″(fᵢ, fⱼ)", "labelled trees", "simulated energy", "frozen gates", "radius"):
        assert words in out
    assert "No checks are installed." in out
    assert page.read_text().rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert "report.html" in err


def test_report_on_a_file_of_ones_own(command, tmp_path, no_checks):
    import numpy as np

    from expansion import MLPBranch, SavedTower, Tower, save_tower

    tower = Tower.tied(MLPBranch([[0.5]], activation="sin"), depth=3, rule="1/n")
    path = save_tower(tmp_path / "t.safetensors", SavedTower(tower, np.ones((2, 1))))
    code, out, _ = command("report", "--weights", path)
    assert code == 0
    assert "n = 3" in out
    bare = save_tower(tmp_path / "bare.safetensors", SavedTower(tower))
    code, out, err = command("report", "--weights", bare)
    assert (code, out) == (2, "")
    assert "inputs" in err


def test_help_does_not_wait_for_the_mathematics():
    code = (
        "import sys; from expansion.console import run; from expansion.cli import app; "
        "run(app, ['--help']); heavy = {'sympy', 'numba', 'matplotlib', 'scipy', 'torch'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "spectrum" in done.stdout


def test_a_reader_that_goes_away_is_no_error():
    command = [sys.executable, "-m", "expansion", "count", "--depth", "3000", "--order", "3000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
    assert error == b""


def shell(line, **environment):
    program = f"{shlex.quote(sys.executable)} -m expansion"
    return subprocess.run(
        ["bash", "-c", line.replace("expansion", program)],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
    )


def test_a_reader_that_goes_away_while_much_is_written_is_no_error():
    line = "expansion expand --depth 60 --order 2 --format json | head -1; exit ${PIPESTATUS[0]}"
    ran = shell(line)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"{\n", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize("target", [">/dev/full", ">&-"])
def test_an_output_that_cannot_be_written_is_one_line(target):
    ran = shell(f"expansion expand --depth 2 --order 2 {target}")
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"error: ")
    assert ran.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "ascii:surrogateescape"])
def test_an_output_without_unicode_is_written_in_escapes(encoding):
    ran = shell("expansion expand --depth 2 --order 1", PYTHONIOENCODING=encoding)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert rb"f\u2081" in ran.stdout
