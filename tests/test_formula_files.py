"""The shipped candidates, and the command as its users meet it."""

import json
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import InputError, composed_orders
from expansion.console import run
from proofs_check.cli import app
from proofs_check.formula.candidate import candidate_of
from proofs_check.formula.parsing import parse_formula
from proofs_check.formula.verdict import judge

FILES = Path(__file__).parent.parent / "docs" / "formulas"
ANSWERS = {
    "to_third_order": {"proved"},
    "tied_tower": {"proved"},
    "affine_paths": {"proved"},
    "two_given_branches": {"proved"},
    "growth_at_one_over_root_n": {"proved"},
    "only_paths": {"refuted"},
    "binomials_for_every_tree": {"refuted"},
    "coherent_for_incoherent": {"refuted"},
    "beyond_the_prover": {"inconclusive"},
}


@pytest.fixture
def formula(capsys):
    def call(*arguments):
        code = run(app, ["formula", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_every_file_is_told_of():
    assert {path.stem for path in FILES.glob("*.toml")} == set(ANSWERS)
    page = (FILES / "README.md").read_text("utf-8")
    assert all(f"`{name}`" in page for name in ANSWERS)


@pytest.mark.parametrize("name", ANSWERS)
def test_shipped_files(formula, name):
    code, out, err = formula(FILES / f"{name}.toml", "--format", "json")
    value = json.loads(out)
    assert err == ""
    assert {claim["verdict"] for claim in value["claims"]} == ANSWERS[name]
    assert code == (0 if ANSWERS[name] == {"proved"} else 1)
    assert value["proved"] is (code == 0)
    for claim in value["claims"]:
        assert (claim["counterexample"] is not None) == (claim["verdict"] == "refuted")
        assert claim["cases"] > 0
        assert claim["reach"]


@pytest.mark.parametrize("name", ["only_paths", "binomials_for_every_tree"])
def test_counterexamples_can_be_pasted_and_are_true(formula, name):
    _, out, _ = formula(FILES / f"{name}.toml", "--format", "json")
    names = {}
    text = json.loads(out)["claims"][0]["counterexample"]
    exec(compile(text, "counterexample", "exec"), names)
    tower, order = names["tower"], names["order"]
    assert names["claimed"] != names["true"]
    assert list(composed_orders(tower, names["point"], order)[order]) == names["true"]
    assert (tower.depth, order) == (2, 3)  # the smallest: 2[1,1]


def test_text(formula):
    code, out, err = formula(FILES / "coherent_for_incoherent.toml")
    assert (code, err) == (1, "")
    assert out.startswith("energy: refuted (every depth n, every scale; cases: 1)\n")
    assert "    claimed = 4\n    true = 2\n" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one of [orders], formula and [growth]; got none"),
        ("[orders", "TOML in"),
        (f"order = {'9' * 5000}\nformula = 'x + O(λ)'", "TOML in"),
        (f"order = 0x{'f' * 5000}\nformula = 'x + O(λ)'", "a number of thousands of digits"),
        ("[growth]\nlimit = 'sqrt(-1)'\n[tower]\nrule = '1/n'", "limit: a real number"),
        ("[orders]\n", "at least one order"),
        ("[orders]\n1 = 2", "order 1: a formula as text; got 2"),
        ("[orders]\none = 'f_1'", "an order must be a whole number"),
        ("[orders]\n99 = 'f_1'", "an order of at most 8; got 99"),
        ("[orders]\n1 = 'f_1 +'", "order 1: "),
        ("[orders]\n1 = 'f_1 +'", "at line 1, column 6; got the end"),
        ("[orders]\n1 = 'f_1'", "letters for blocks, the depth being n"),
        ("[orders]\n1 = 'Σ_{i} λ f_i'", "the coefficient of λ^1; got λ in it"),
        ('[orders]\n2 = "Σ_{i} f_i\' f_j"', "letters that a sum runs over; got j"),
        ("[orders]\n2 = 'Σ_{i<j} f_j'", "every letter of a sum in each of its terms; got i"),
        ("[orders]\n2 = 'Σ_{i<j} f_j f_i'", "a number times a term; got f₂ times f₁"),
        ("[orders]\n2 = \"Σ_{i} f_i''(f_i)\"", "as many primes as arguments"),
        ("[orders]\n1 = '2'", "a term such as f_1 or x; got the number 2 alone"),
        ("[orders]\n1 = 'n f'", "f with a block's number or letter"),
        ("[orders]\n1 = 'f_1/f_1'\n[tower]\ndepth = 1", "a division by a number"),
        ("[orders]\n1 = 'f_1/(1-1)'\n[tower]\ndepth = 1", "a division by a number"),
        ("[orders]\n1 = 'f_7'\n[tower]\ndepth = 3", "blocks 1 to 3; got 7"),
        ("[orders]\n1 = 'f_1'\n[tower]\ndepth = 3\ntied = true", "f, the one branch of all blocks"),
        ('[orders]\n1 = "D\'f"\n[tower]\ntied = true', "f for the branches; got D"),
        ("[orders]\n1 = 'f'\n[tower]\ntied = true\ndecoder = true", "terms below the decoder"),
        ("[tower]\ndepht = 3\n[orders]\n1 = 'f_1'", "keys among depth, branches"),
        ("[tower]\ndepth = 0\n[orders]\n1 = 'f_1'", "depth must be a whole number of at least 1"),
        ("[tower]\ndepth = 65\n[orders]\n1 = 'f_1'", "depth of at most 64"),
        ("[tower]\ntied = 'yes'\n[orders]\n1 = 'f'", "tied = true or false"),
        ("[tower]\nbranches = 'sharp'\n[orders]\n1 = 'f_1'", "branches among abstract, affine"),
        ("[tower]\nrule = '1/n'\n[orders]\n1 = 'Σ_{i} f_i'", 'rule = "lambda" for depth "n"'),
        ("[tower]\nrule = '@/etc/passwd'\n[orders]\n1 = 'f_1'", "a rule, or a list of scales"),
        ("formula = 'x + λ Σ_{i} f_i'", "formula: where it stops; got no O(λ^k)"),
        ("formula = 'x + … 3 more + O(λ²)'", "every term spelled out"),
        ("[growth]\n", "a law in [growth]"),
        ("[growth]\nenergy = '(1+m)^n'", "names among n, lambda; got m"),
        ("[growth]\nenergy = '2^(n^2)'", "exponents up to 64"),
        ("[growth]\nenergy = '2^99999'", "exponents up to 64"),
        ("[growth]\nenergy = '1/0'", "a divisor that is not 0"),
        ("[growth]\nentropy = '1'", "keys among energy, amplitude"),
        ("[growth]\nlimit = '1'", "a rule, and depth n, for a limit"),
        ("[growth]\nenergy = '2^n'\n[orders]\n1 = 'f'", "claim one thing in a file"),
        ("[growth]\nenergy = '2^n'\n[tower]\ntied = true", "only depth and rule in [tower]"),
        ("[[branch]]\naffine = [[1]]\n[orders]\n1 = 'f'", "a number as the depth of untied"),
        (
            "[tower]\ndepth = 2\n[[branch]]\naffine = [[1]]\n[orders]\n1 = 'f_1'",
            "2 [[branch]] tables; got 1",
        ),
        (
            "[tower]\ntied = true\n[[branch]]\npolynomial = ['1/x1']\n[orders]\n1 = 'f'",
            "branch 1: a polynomial",
        ),
        (
            "[tower]\ntied = true\n[[branch]]\naffine = [[nan]]\n[orders]\n1 = 'f'",
            "branch 1: finite numbers; got nan",
        ),
        (
            "[tower]\ntied = true\n[[branch]]\npolynomial = ['(1+x1+x2)^64', 'x1']\n"
            "[orders]\n1 = 'f'",
            "polynomials of at most 500 terms",
        ),
        (
            "[tower]\ntied = true\n[[branch]]\naffine = [[1, 2]]\n[orders]\n1 = 'f'",
            "rows of 1 numbers",
        ),
        (
            "[tower]\ntied = true\n[[branch]]\nelementwise = '__import__(1)'\n[orders]\n1 = 'f'",
            "branch 1: elementwise: ",
        ),
    ],
)
def test_bad_files_are_one_line(formula, tmp_path, text, message):
    path = tmp_path / "candidate.toml"
    path.write_text(text, "utf-8")
    code, out, err = formula(path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert message in err


def test_missing_files_and_options_in_front(formula, capsys, tmp_path):
    code, _, err = formula(tmp_path / "missing.toml")
    assert code == 2
    assert "a TOML file; got" in err
    code = run(app, ["--deep", "formula", "x.toml"])
    assert code == 2
    assert "options after the name formula; got --deep" in capsys.readouterr().err


SIGNS = [*list("f_'″ij<Σ{}()[]n+-*/^λ₁₂½,x12D O…C"), "exp(", "1/n", "Σ_{i<j}", "f_j'f_i"]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(SIGNS), max_size=12).map("".join))
def test_any_text_is_judged_or_refused_in_one_line(text):
    tables = [{"tower": tower, "orders": {"2": text}} for tower in ({}, {"tied": True})]
    for table in (*tables, {"growth": {"energy": text}}):
        told = ""
        try:
            assert judge(candidate_of(table)).text()
        except InputError as error:
            told = str(error)
        assert "\n" not in told


@pytest.mark.parametrize(
    "table",
    [
        {"orders": {"2": "(" * 3000 + "f_1" + ")" * 3000}},
        {"tower": {"tied": True}, "orders": {"2": "(((9)^64)^64)^64 f'f"}},
        {"tower": {"tied": True}, "orders": {"2": "9" * 5000 + " f'f"}},
        {"orders": {"8": "Σ_{i<j} f_j'f_i"}},
        {"tower": {"depth": 64}, "orders": {"5": "f_1"}},
        {"growth": {"energy": "((9^64)^64)^64"}},
        {"growth": {"energy": "(((1+n)^64)^64)^64"}},
        {"growth": {"energy": "(2^n)^n"}},
        {"growth": {"energy": "9" * 5000}},
    ],
    ids=lambda table: str(table)[:50],
)
def test_what_would_explode_is_refused_at_once(table):
    start = perf_counter()
    with pytest.raises(InputError):
        judge(candidate_of(table))
    assert perf_counter() - start < 10  # a hundredth of a second on an idle machine


@pytest.mark.parametrize("text", ["Σ_i f_i", "sum_i f_i", "Σ_{i} f_i"])
def test_a_sum_over_one_letter_needs_no_braces(text):
    assert parse_formula(text, "it") == parse_formula("Σ_{i} f_i", "it")


def test_conditions_without_braces():
    assert parse_formula("Σ_i<j f_j' f_i", "it") == parse_formula("Σ_{i<j} f_j' f_i", "it")
