"""The printed forms of orders ≤ 4 against a derivation by hand's own rules.

Taylor's formula is written out over ordered choices of arguments, as on paper, in nested tuples;
neither trees nor symmetries nor the project's notation take part.
"""

from collections import defaultdict
from fractions import Fraction
from itertools import product
from math import factorial

import pytest

from expansion import expand
from expansion.series.indexed import expand_indexed

ORDER = 4
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def derive(depth, order):
    """Coefficients of the terms (block, arguments…) of H − x, by Taylor's formula per block."""
    moved = {}
    for block in range(1, depth + 1):
        added = defaultdict(Fraction)
        for m in range(order):
            for chosen in product(moved.items(), repeat=m):
                if sum(size(term) for term, _ in chosen) >= order:
                    continue
                weight = Fraction(1, factorial(m))
                for _, coefficient in chosen:
                    weight *= coefficient
                arguments = sorted((term for term, _ in chosen), reverse=True)
                added[(block, *arguments)] += weight
        moved = {**moved, **added}
    return moved


def size(term):
    return 1 + sum(size(argument) for argument in term[1:])


def written(term):
    block, *arguments = term
    primes = ["", "′", "″", "‴"][len(arguments)]
    root = f"f{block}".translate(SUBSCRIPTS) + primes
    if len(arguments) == 1:
        return root + written(arguments[0])
    return f"{root}({', '.join(map(written, arguments))})" if arguments else root


def nested(tree):
    return (tree.label, *sorted((nested(child) for child in tree.children), reverse=True))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_every_coefficient(depth):
    found = {nested(tree): value for tree, value in expand(depth, ORDER).items()}
    assert found == derive(depth, ORDER)


@pytest.mark.parametrize("depth", [2, 3])
def test_every_printed_term(depth):
    printed = expand(depth, ORDER).text(limit=1000)
    fractions = {Fraction(1): "", Fraction(1, 2): "½ ", Fraction(1, 6): "⅙ "}
    names = {
        (fractions[value], frozenset(written(term).replace("(", " ").replace(")", " ").split()))
        for term, value in derive(depth, ORDER).items()
    }
    lines = printed.splitlines()[1:-1]
    pieces = [piece for line in lines for piece in line[line.index("[") + 2 : -2].split(" + ")]
    shown = set()
    for piece in pieces:
        weight = piece[:2] if piece[:2] in fractions.values() else ""
        body = piece[len(weight) :].replace("(", " ").replace(")", " ")
        shown.add((weight, frozenset(body.split())))
    assert len(pieces) == len(derive(depth, ORDER))
    assert shown == names


def test_the_forms_of_orders_two_and_three_in_every_book():
    lines = expand_indexed(3).text().splitlines()
    assert lines[2] == "  + λ² [ Σ_{i<j} fⱼ′fᵢ ]"
    third = "½ Σ_{i<j} fⱼ″(fᵢ, fᵢ) + Σ_{i<j<k} fₖ″(fⱼ, fᵢ) + Σ_{i<j<k} fₖ′fⱼ′fᵢ"
    assert lines[3] == f"  + λ³ [ {third} ]"


def test_twelve_sums_at_order_four():
    # Chain; f″ over a chain and a leaf; f′ over f″; f‴: by which labels may coincide.
    patterns = [term for term in expand_indexed(4).terms if term.order == 4]
    assert len(patterns) == 12
    by_hand = {
        "4[3[2[1]]]": 1,  # f_l' f_k' f_j' f_i
        "4[3[2,1]]": 1,  # f_l' f_k''(f_j, f_i)
        "3[2[1,1]]": 2,  # ½ f_k' f_j''(f_i, f_i)
        "4[3[2],1]": 1,  # f_l''(f_k' f_j, f_i), and the other two places of the leaf
        "4[3[1],2]": 1,
        "4[3,2[1]]": 1,
        "3[2[1],1]": 1,  # the leaf's label met in the chain, low and high
        "3[2[1],2]": 1,
        "4[3,2,1]": 1,  # f_l'''(f_k, f_j, f_i)
        "3[2,1,1]": 2,
        "3[2,2,1]": 2,
        "2[1,1,1]": 6,
    }
    assert {str(pattern): pattern.symmetry for pattern in patterns} == by_hand
