"""Every rule of the λ-series beside nested forward-mode derivatives of that one operation."""

import math

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from bridge_orders_cases import CASES, FALL_BACK, HOMOGENEOUS, NORMS, OF_COMPLEX, TERMS, Drawn  # noqa: E402
from bridge_orders_helpers import captured_model, nested_taylor, operations_of  # noqa: E402

from expansion.errors import InputError  # noqa: E402
from torch_bridge.orders import derivatives, series  # noqa: E402
from torch_bridge.orders.linear import LINEAR  # noqa: E402
from torch_bridge.orders.plan import argument_names, operation  # noqa: E402
from torch_bridge.orders.polynomial import Polynomial  # noqa: E402
from torch_bridge.orders.propagation import Call, NotCoveredError  # noqa: E402

aten = torch.ops.aten


def parts(result):
    """The coefficients of every part of a result that depends on z."""
    found = result if isinstance(result, (list, tuple)) else [result]
    return [part.stack if isinstance(part, Polynomial) else None for part in found]


def differences(case, drawn):
    """The largest error of every part, relative to its largest coefficient, or 1."""
    target, args, rest = case(drawn)
    named = dict(zip(argument_names(target), args, strict=False)) | rest
    ours = parts(series._apply(Call(target, operation(target), named, TERMS)))
    real = nested_taylor(target, named, TERMS)
    assert len(ours) == len(real)
    errors = []
    for mine, theirs in zip(ours, real, strict=True):
        scratch = target is aten.log_sigmoid_forward.default and mine is None
        if theirs is None or not theirs.numel() or scratch:
            continue
        assert mine is not None
        assert mine.shape[1:] == theirs.shape[1:]
        assert len(mine) <= TERMS
        short = torch.cat([mine, mine.new_zeros(TERMS - len(mine), *mine.shape[1:])])
        scale = max(float(theirs.abs().max()), 1.0)
        errors.append(float((short - theirs).abs().max()) / scale)
    assert errors
    return errors


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=3, phases=[Phase.generate])  # shrinking derivatives takes minutes
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.tuples(*[st.integers(1, 3)] * 3),
    length=st.integers(1, TERMS),
)
def test_a_rule_is_the_derivative(name, seed, sizes, length):
    # K! ≤ 6 roundings of nested derivatives, each amplified by at most the next coefficient.
    assert max(differences(CASES[name], Drawn(seed, sizes, length))) < 1e-10


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_a_linear_operation_acts_on_every_coefficient(name):
    target, shape, rest = HOMOGENEOUS[name]
    kind = torch.complex128 if name in OF_COMPLEX else torch.float64
    stack = torch.randn(3, *shape, dtype=kind, generator=torch.Generator().manual_seed(7))
    names = argument_names(target)
    named = dict(zip(names, (Polynomial(stack), *rest), strict=False))
    ours = parts(series._apply(Call(target, name, named, 3)))
    singly = [target(row.clone(), *rest) for row in stack]
    singly = [row if isinstance(row, (list, tuple)) else [row] for row in singly]
    assert len(ours) == len(singly[0])
    for mine, theirs in zip(ours, zip(*singly, strict=True), strict=True):
        assert mine.dtype == theirs[0].dtype
        assert torch.allclose(mine, torch.stack(theirs), rtol=1e-12, atol=1e-13)
        assert not torch.allclose(mine, torch.stack(theirs[::-1]))


def wrong_tanh(u, terms, out=None):
    """The recurrence without the convolution's mirror terms: 1 − y_0 y_k instead of 1 − y²."""
    y, slope = [u[0].tanh()], [1 - u[0].tanh() ** 2]
    for k in range(1, terms):
        total = sum(
            (j / k * u[j] * slope[k - j] for j in range(1, min(k, len(u) - 1) + 1)), 0 * u[0]
        )
        y.append(total)
        slope.append(-y[0] * y[k])
    for row, value in zip(out or [], y, strict=False):
        row.copy_(value)
    return y


@pytest.mark.parametrize(
    ("case", "table", "key", "wrong"),
    [
        ("tanh", "FUNCTIONS", "tanh", wrong_tanh),
        ("exp", "FUNCTIONS", "exp", lambda u, terms, out=None: [u[0].exp()] * terms),
        (
            "cat",
            "RULES",
            "cat",
            lambda call: LINEAR["cat"](
                Call(
                    call.target,
                    call.name,
                    call.arguments | {"tensors": [call["tensors"][0], call["tensors"][1] * 2]},
                    call.terms,
                )
            ),
        ),
        (
            "both mul",
            "FACTORS",
            "mul",
            None,
        ),
    ],
)
def test_a_wrong_rule_is_caught(monkeypatch, case, table, key, wrong):
    drawn = {"seed": 5, "sizes": (2, 2, 3), "length": 4}
    assert max(differences(CASES[case], Drawn(**drawn))) < 1e-10
    if wrong is None:  # the product without its mixed terms
        monkeypatch.setattr(
            series,
            "product",
            lambda a, b, terms: Polynomial(a.stack[:terms] * b.stack[:terms, None]),
        )
    else:
        monkeypatch.setattr(series, table, {**getattr(series, table), key: wrong})
    assert max(differences(CASES[case], Drawn(**drawn))) > 1e-3


def test_which_cases_have_no_rule():
    without = set()
    for name, case in CASES.items():
        target, args, rest = case(Drawn(1, (2, 2, 2), 2))
        named = dict(zip(argument_names(target), args, strict=False)) | rest
        call = Call(target, operation(target), named, 2)
        rule = series.rule_for(call)
        if rule is None:
            without.add(name)
            continue
        try:
            rule(call)
        except NotCoveredError:
            without.add(name)
    assert without == FALL_BACK


def test_every_rule_has_a_case():
    tried = {operation(case(Drawn(1, (2, 2, 2), 2))[0]) for case in CASES.values()}
    tried |= set(HOMOGENEOUS)
    same = {  # another name of an operation that is tried, or the same rule
        "_native_batch_norm_legit_functional": "_native_batch_norm_legit",
        "_prelu_kernel": "prelu",
        "clamp_max": "clamp",
        "clamp_min": "clamp",
        "fmax": "maximum",
        "fmin": "minimum",
        "group_norm": "native_group_norm",
        "layer_norm": "native_layer_norm",
        "log_softmax": "_log_softmax",
        "norm": "linalg_vector_norm",
        "softmax": "_softmax",
    }
    assert set(same.values()) <= tried
    left = set(series.RULES) - tried - set(same)
    assert left == {  # which have tests of their own
        *("argmax", "argmin", "eq", "ge", "gt", "le", "lt", "ne", "sign"),
        *("_grouped_mm", "grouped_mm_fallback", "native_dropout"),
    }


MODELS_WITHOUT_A_RULE = set()


@pytest.mark.slow
def test_operations_of_all_test_models_have_rules():
    from bridge_models import MODELS

    met = set()
    for name in MODELS:
        try:
            met |= operations_of(captured_model(name)[0])
        except pytest.skip.Exception:
            continue
    assert {"tanh", "addmm", "convolution", "native_layer_norm", "_softmax"} <= met | {"_softmax"}
    assert {name for name in met if not series.has_rule(name)} == MODELS_WITHOUT_A_RULE


def leads(name, stack, other=0.0):
    target = getattr(aten, name).Scalar
    named = {"self": Polynomial(torch.tensor(stack, dtype=torch.float64)), "other": other}
    return series._apply(Call(target, name, named, 3)).tolist()


def test_comparisons_look_at_what_moves_first():
    stack = [[0.0, 0.0, 0.0, 1.0], [1.0, -1.0, 0.0, -5.0], [0.0, 9.0, 0.0, 0.0]]
    assert leads("gt", stack) == [True, False, False, True]
    assert leads("ge", stack) == [True, False, True, True]
    assert leads("lt", stack) == [False, True, False, False]
    assert leads("le", stack) == [False, True, True, False]
    assert leads("eq", stack) == [False, False, True, False]
    assert leads("ne", stack) == [True, True, False, True]
    # A masked score is minus infinity whatever is added to it.
    assert leads("eq", [[-math.inf], [3.0]], -math.inf) == [True]


def test_whole_numbers_look_at_what_moves_first():
    stack = torch.tensor([[0.0, 0.0, -1.0], [1.0, 2.0, 9.0], [0.0, 0.0, 0.0]], dtype=torch.float64)

    def found(target, *rest):
        named = dict(zip(argument_names(target), (Polynomial(stack), *rest), strict=False))
        return series._apply(Call(target, operation(target), named, 3))

    assert int(found(aten.argmax.default)) == 1
    assert int(found(aten.argmin.default)) == 2
    assert found(aten.sign.default).tolist() == [1, 1, -1]
    assert found(aten.argsort.default).tolist() == stack[0].argsort().tolist()
    for sort, rest in [(aten.sort.default, (0, True)), (aten.topk.default, (3,))]:
        values, places = found(sort, *rest)
        assert places.tolist() == [1, 0, 2]
        assert values.stack[1].tolist() == [2, 1, 9]
    z = 1e-3
    moved = (stack[0] + z * stack[1]).argsort(descending=True)
    assert moved.tolist() == [1, 0, 2]


def test_one_draw_of_dropout_for_all_coefficients():
    stack = torch.ones(3, 400, dtype=torch.float64) * torch.tensor([[1.0], [2.0], [3.0]])
    named = {"input": Polynomial(stack), "p": 0.25, "train": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        moved, kept = series._apply(Call(aten.native_dropout.default, "native_dropout", named, 3))
    assert torch.equal(moved.stack, stack * kept / 0.75)
    assert 250 < int(kept.sum()) < 350  # 300 expected, 5.8 standard errors
    named = named | {"train": False}
    moved, _ = series._apply(Call(aten.native_dropout.default, "native_dropout", named, 3))
    assert torch.equal(moved.stack, stack)


@pytest.mark.parametrize("name", ["layer norm", "group norm", "batch norm"])
def test_fused_normalisations_are_never_differentiated(name, monkeypatch):
    target, args, rest = NORMS[name](Drawn(1, (2, 2, 2), 3))
    named = dict(zip(argument_names(target), args, strict=False)) | rest
    call = Call(target, operation(target), named, 3)
    right = parts(series._apply(call))[0]
    with pytest.raises(TypeError, match="nested derivative of it is wrong"):
        derivatives.by_derivatives(call)
    monkeypatch.setattr(series, "RULES", {})
    with pytest.raises(InputError, match=r"norm.*derivative of it is wrong"):
        series._apply(call)
    if name != "group norm":  # why: the second derivative would be wrong, and nothing said
        nested = derivatives.taylor_coefficients(
            lambda z: target(**derivatives._at(named, z))[0], 3, right
        )
        assert torch.allclose(nested[:2], right[:2])
        assert float((nested[2] - right[2]).abs().max()) > 0.01


@torch.library.custom_op("residual_expansion_tests::cube", mutates_args=())
def cube(x: torch.Tensor) -> torch.Tensor:
    """An operation with a backward derivative, as libraries register them."""
    return x**3


@torch.library.custom_op("residual_expansion_tests::square", mutates_args=())
def square(x: torch.Tensor) -> torch.Tensor:
    return x**2


torch.library.register_autograd(
    "residual_expansion_tests::cube",
    lambda ctx, slope: slope * 3 * ctx.saved_tensors[0] ** 2,
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)


def test_operations_of_others_are_not_taken_for_constants():
    stack = torch.ones(3, 2, dtype=torch.float64)
    for operator, why in [(cube, "forward and backward derivatives differ"), (square, "")]:
        call = Call(operator._opoverload, "x", {"x": Polynomial(stack)}, 3)
        with pytest.raises(InputError, match=f"operations that PyTorch.*{why}"):
            series._apply(call)


def test_rows_times_the_matrix_of_their_group():
    generator = torch.Generator().manual_seed(2)
    stack = torch.randn(3, 5, 4, generator=generator)
    weight, ends = torch.randn(2, 4, 8, generator=generator), torch.tensor([2, 5])
    named = {"self": Polynomial(stack), "mat2": weight, "offs": ends.int()}
    found = series._apply(Call(aten._grouped_mm.default, "_grouped_mm", named, 3)).stack
    real = torch.cat([stack[:, :2] @ weight[0], stack[:, 2:] @ weight[1]], 1)
    assert torch.allclose(found, real, atol=1e-5)
    assert not torch.allclose(found, stack @ weight[0], atol=1e-1)


def test_complex_results_are_not_differentiated_by_mistake():
    named = {"real": Polynomial(torch.ones(2, 3)), "imag": torch.ones(3)}
    with pytest.raises(InputError, match="complex"):
        series._apply(Call(aten.complex.default, "complex", named, 3))


def test_on_a_kink_small_positive_scales_decide():
    stack = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.0], [5.0, 5.0, 2.0]], dtype=torch.float64)
    call = Call(aten.relu.default, "relu", {"self": Polynomial(stack)}, 3)
    found = series._apply(call).stack
    assert found.tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [5.0, 0.0, 2.0]]
    z = 1e-3
    moved = stack[0] + z * stack[1] + z * z * stack[2]
    assert torch.allclose(found[0] + z * found[1] + z * z * found[2], moved.relu(), atol=1e-15)
    pool = aten.max_pool2d_with_indices.default
    board = torch.zeros(2, 1, 1, 2, 2, dtype=torch.float64)
    board[1, 0, 0] = torch.tensor([[1.0, 4.0], [2.0, 3.0]])
    named = {"self": Polynomial(board), "kernel_size": [2, 2]}
    values, where = series._apply(Call(pool, "max_pool2d_with_indices", named, 2))
    assert values.stack.flatten().tolist() == [0.0, 4.0]
    assert where.item() == 1
