"""Written mathematics: by hand, balanced, and true when read back."""

import re
from fractions import Fraction
from itertools import pairwise, product

import pytest
import sympy
from hypothesis import given

from expansion.series.notation import LATEX, UNICODE, indexed_sum, write_coefficient, write_term
from expansion.trees.generate import rooted_trees
from expansion.trees.labelled import Forest, LabelledTree
from expansion.trees.order_polynomials import labelling_count
from expansion.trees.tree import Tree
from proofs_check.strategies import labelled_trees, trees

parse = LabelledTree.parse
SMALL = [tree for order in range(1, 7) for tree in rooted_trees(order)]
BUSH = Tree([Tree()] * 4)


@pytest.mark.parametrize(
    ("term", "unicode", "latex"),
    [
        (parse("1"), "f₁", "f_1"),
        (parse("12"), "f₁₂", "f_{12}"),
        (parse("2[1]"), "f₂′f₁", "f_2' f_1"),
        (parse("3[2[1]]"), "f₃′f₂′f₁", "f_3' f_2' f_1"),
        (parse("3[1,1]"), "f₃″(f₁, f₁)", "f_3''(f_1, f_1)"),
        (parse("3[1,2[1]]"), "f₃″(f₂′f₁, f₁)", "f_3''(f_2' f_1, f_1)"),
        (parse("10[9[2,1]]"), "f₁₀′f₉″(f₂, f₁)", "f_{10}' f_9''(f_2, f_1)"),
        (parse("3[1,1,2]"), "f₃‴(f₂, f₁, f₁)", "f_3'''(f_2, f_1, f_1)"),
        (parse("3[1,1,1,1]"), "f₃⁽⁴⁾(f₁, f₁, f₁, f₁)", "f_3^{(4)}(f_1, f_1, f_1, f_1)"),
        (Tree(), "f", "f"),
        (Tree.chain(3), "f′f′f", "f' f' f"),
        (Tree([Tree(), Tree.chain(2)]), "f″(f′f, f)", "f''(f' f, f)"),
        (Forest(), "D", "D"),
        (Forest([parse("2[1]")]), "D′f₂′f₁", "D' f_2' f_1"),
        (Forest([parse("1"), parse("2")]), "D″(f₂, f₁)", "D''(f_2, f_1)"),
        (Forest([Tree(), Tree()]), "D″(f, f)", "D''(f, f)"),
    ],
    ids=str,
)
def test_terms_by_hand(term, unicode, latex):
    assert write_term(term) == write_term(term, UNICODE) == unicode
    assert write_term(term, LATEX) == latex


def test_another_letter():
    assert write_term(parse("2[1]"), letter="g") == "g₂′g₁"
    assert indexed_sum(Tree.chain(2), letter="g") == "Σ_{i<j} gⱼ′gᵢ"


@pytest.mark.parametrize(
    ("coefficient", "unicode", "latex"),
    [
        (Fraction(1), "", ""),
        (1, "", ""),
        (-1, "-", "-"),
        (Fraction(3), "3 ", "3 "),
        (Fraction(1, 2), "½ ", r"\frac{1}{2} "),
        (Fraction(-1, 2), "-½ ", r"-\frac{1}{2} "),
        (Fraction(7, 24), "7/24 ", r"\frac{7}{24} "),
        (0, "0 ", "0 "),
        (sympy.Symbol("n"), "n ", "n "),
        (sympy.Symbol("n") + 1, "(n + 1) ", "(n + 1) "),
        (sympy.sqrt(2), "sqrt(2) ", r"\sqrt{2} "),
    ],
)
def test_coefficients_by_hand(coefficient, unicode, latex):
    assert write_coefficient(coefficient) == unicode
    assert write_coefficient(coefficient, LATEX) == latex


@pytest.mark.parametrize(
    ("tree", "unicode", "latex"),
    [
        ("[]", "Σ_{i} fᵢ", r"\sum_{i} f_i"),
        ("[[]]", "Σ_{i<j} fⱼ′fᵢ", r"\sum_{i<j} f_j' f_i"),
        ("[[],[]]", "½ Σ_{i,j<k} fₖ″(fᵢ, fⱼ)", r"\frac{1}{2} \sum_{i,j<k} f_k''(f_i, f_j)"),
        ("[[[]],[]]", "Σ_{i<j<l, k<l} fₗ″(fⱼ′fᵢ, fₖ)", r"\sum_{i<j<l, k<l} f_l''(f_j' f_i, f_k)"),
        (
            "[[],[],[]]",
            "⅙ Σ_{i,j,k<l} fₗ‴(fᵢ, fⱼ, fₖ)",
            r"\frac{1}{6} \sum_{i,j,k<l} f_l'''(f_i, f_j, f_k)",
        ),
    ],
)
def test_sums_by_hand(tree, unicode, latex):
    assert indexed_sum(Tree.parse(tree)) == unicode
    assert indexed_sum(Tree.parse(tree), LATEX) == latex


def balanced(text: str) -> bool:
    """Brackets of all kinds close in order, and every command has its arguments."""
    waiting = []
    for character in text:
        if character in "([{":
            waiting.append(character)
        elif character in ")]}" and (
            not waiting or waiting.pop() + character not in ("()", "[]", "{}")
        ):
            return False
    return not waiting and all(
        re.match(r"\\frac\{[^{}]+\}\{[^{}]+\}", text[found.start() :])
        for found in re.finditer(r"\\frac", text)
    )


@given(labelled_trees(depth=120, max_order=8))
def test_latex_of_terms_is_balanced(tree):
    text = write_term(tree, LATEX)
    assert balanced(text)
    assert text.isascii()
    # Every block number is written once per vertex.
    assert sorted(map(int, re.findall(r"f_\{?(\d+)", text))) == sorted(tree.labels)


@given(trees(9))
def test_latex_of_sums_is_balanced(tree):
    assert balanced(indexed_sum(tree, LATEX))


@pytest.mark.parametrize("text", ["(", ")(", r"\frac{1}", "f_{12", "[(])"])
def test_balance_is_a_test(text):
    assert not balanced(text)


def conditions(text: str, style) -> list[tuple[str, str]]:
    """The printed inequalities as pairs (smaller, larger), and the indices that they name."""
    printed = re.search(r"_\{(.*?)\} ", text).group(1)
    pairs = []
    for chain in printed.split(", "):
        links = [group.split(",") for group in chain.split("<")]
        pairs += [(a, b) for low, high in pairwise(links) for a in low for b in high]
    return pairs


def indices(text: str) -> list[str]:
    return re.findall(r"[a-z]\d*", re.search(r"_\{(.*?)\} ", text).group(1))


@pytest.mark.parametrize("style", [UNICODE, LATEX], ids=["unicode", "latex"])
@pytest.mark.parametrize("tree", SMALL, ids=str)
def test_what_is_printed_is_the_order_polynomial(tree, style):
    text = indexed_sum(tree, style)
    names = sorted(set(indices(text)))
    assert len(names) == tree.order
    pairs = conditions(text, style)
    for depth in (1, 2, 3) if tree.order > 5 else (1, 2, 3, 4):
        counted = 0
        for labels in product(range(1, depth + 1), repeat=tree.order):
            value = dict(zip(names, labels, strict=True))
            counted += all(value[a] < value[b] for a, b in pairs)
        assert counted == labelling_count(tree, depth)


# Every vertex's subtree is printed with the root's index last; the inequalities must be the
# tree's own edges, not merely as many.
@pytest.mark.parametrize("tree", SMALL, ids=str)
def test_inequalities_are_the_edges_of_the_printed_term(tree):
    text = indexed_sum(tree, LATEX)
    body = text[re.search(r"_\{.*?\} ", text).end() :]
    tokens = re.findall(r"f_([a-z])(\^\{\(\d+\)\}|'*)|([(),])", body)
    edges = set()

    def read(position: int) -> tuple[str, int]:
        index, primes, _ = tokens[position]
        position += 1
        count = int(re.sub(r"\D", "", primes)) if "^" in primes else len(primes)
        if count == 1:
            child, position = read(position)
            edges.add((child, index))
        elif count:
            for _ in range(count):
                assert tokens[position][2] in "(,"
                child, position = read(position + 1)
                edges.add((child, index))
            assert tokens[position][2] == ")"
            position += 1
        return index, position

    _, end = read(0)
    assert end == len(tokens)
    assert set(conditions(text, LATEX)) == edges
    assert len(edges) == tree.order - 1


@pytest.mark.parametrize("tree", SMALL, ids=str)
def test_the_weight_of_a_sum_is_one_over_the_symmetry(tree):
    weight = indexed_sum(tree, LATEX).partition(r"\sum")[0]
    expected = "" if tree.symmetry == 1 else rf"\frac{{1}}{{{tree.symmetry}}} "
    assert weight == expected


def test_more_vertices_than_letters():
    text = indexed_sum(Tree.chain(14), LATEX)
    assert "i1<i2<" in text
    assert "f_{i14}' f_{i13}'" in text
    assert balanced(text)
    assert len(conditions(text, LATEX)) == 13
    bush = indexed_sum(BUSH)
    assert bush == "1/24 Σ_{i,j,k,l<m} fₘ⁽⁴⁾(fᵢ, fⱼ, fₖ, fₗ)"


def test_deep_terms_do_not_reach_the_recursion_limit():
    path = LabelledTree.path(*range(1500, 0, -1))
    assert write_term(path, LATEX).endswith("f_2' f_1")
    assert indexed_sum(Tree.chain(1500), LATEX).endswith("f_{i2}' f_{i1}")
