r"""The claims: every statement of the theory that has a check, as data.

A claim says what holds, under which hypotheses, and where it comes from: a paper, a classical
result, or "derived" for what was derived for this project. Its checks are in the file of its
family and refer to it by its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from expansion.errors import InputError

__all__ = ["CLAIMS", "Claim", "claim_ids"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of the theory.

    Parameters
    ----------
    id : str
        The family's letter and a number, such as E1.
    statement : str
        What holds, in words.
    latex : str
        What holds, in LaTeX mathematics.
    hypotheses : str
        What it needs.
    source : str
        A paper, a classical result, or "derived".

    Raises
    ------
    InputError
        When a part is left empty.

    Examples
    --------
    >>> CLAIMS["E3"].statement
    'If all blocks share one branch, the coefficient of a tree τ is λ^|τ| Ω°(τ; n)/σ(τ).'
    """

    id: str
    statement: str
    latex: str
    hypotheses: str
    source: str

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"a claim's {part.name} as text", repr(value), "write it down")


_EXPANSION = "Analytic branches, scales near zero."
_INITIALISATION = (
    "Independent zero-mean initialisation, branches that preserve energy: E‖f(x)‖² = ‖x‖²."
)

_ALL = (
    Claim(
        "E1",
        "A residual tower is x plus, over all labelled trees t, the term F_t with Π λ / σ(t).",
        r"H_n(x) = x + \sum_t \frac{\prod_{v \in t} \lambda_{\ell(v)}}{\sigma(t)} F_t(x)",
        _EXPANSION,
        "orders ≤ 2 with one common scale: Dherin & Munn 2025 (arXiv 2510.03470); all orders and "
        "per-block scales: derived",
    ),
    Claim(
        "E2",
        "With an encoder and a decoder the expansion runs over forests, with 1/σ of the forest.",
        r"D(H_n(x)) = \sum_{\{t_1, \ldots, t_m\}} \frac{\prod \lambda}{\sigma(t_1 \cdots t_m)} "
        r"D^{(m)}(x)[F_{t_1}, \ldots, F_{t_m}], \quad x = E(\text{input})",
        _EXPANSION + " An analytic decoder.",
        "derived",
    ),
    Claim(
        "E3",
        "If all blocks share one branch, the coefficient of a tree τ is λ^|τ| Ω°(τ; n)/σ(τ).",
        r"H_n(x) = x + \sum_\tau \lambda^{|\tau|} \frac{\Omega^\circ(\tau; n)}{\sigma(\tau)} "
        r"F_\tau(x)",
        _EXPANSION + " One branch and one scale for all blocks.",
        "Butcher series of n explicit Euler steps and Stanley's strict order polynomial: "
        "classical; their combination into one formula for every n: derived",
    ),
    Claim(
        "E4",
        "Expanding both parts of a split tower and composing gives the same series, and order k "
        "is the k-th Taylor coefficient in a common factor z of the scales.",
        r"P_k = \tfrac{1}{k!}\, \partial_z^k H_n(z\lambda)\big|_{z=0}",
        _EXPANSION,
        "derived",
    ),
    Claim(
        "E5",
        "Carrying a truncated power series in z through the tower gives every order.",
        r"H_n(z\lambda)(x) = \sum_{k \le K} z^k P_k(x) + O(z^{K+1})",
        _EXPANSION,
        "derived",
    ),
    Claim(
        "E6",
        "A tied tower is the exact time-n flow of a modified field with weights ω(τ), the "
        "coefficient of n in Ω°(τ; n); for λ = 1/n the weights tend to the flow's 1/τ!.",
        r"\tilde f = \sum_\tau \lambda^{|\tau|} \frac{\omega(\tau)}{\sigma(\tau)} F_\tau, "
        r"\quad \omega(\tau) = [n^1]\, \Omega^\circ(\tau; n), \quad "
        r"\frac{\Omega^\circ(\tau; n)}{n^{|\tau|}} \to \frac{1}{\tau!}",
        _EXPANSION + " One branch and one scale for all blocks; the field is a formal series.",
        "Butcher series and backward error analysis of Euler's method: classical; ω as a "
        "coefficient of the order polynomial: derived",
    ),
    Claim(
        "E7",
        "Affine towers are the sum of their paths and the series stops; bias-free ReLU towers "
        "are the sum of their gated paths, exactly, at any scale.",
        r"H_n(x) = \prod_l (1 + \lambda_l J_l)\, x, \quad J_l = V_l\, \mathrm{diag}(g_l)\, U_l",
        "Affine branches, or f(x) = V relu(U x) with the gates of the forward pass.",
        "derived",
    ),
    Claim(
        "E7b",
        "With gates φ(a)/a frozen where the forward pass comes through, every branch is an affine "
        "map and the tower the sum of its 2^n paths, exactly, at the scales it was run with.",
        r"f_l(x_{l-1}) = J_l x_{l-1} + b_l, \quad H_n(x) = \sum_{i_1 < \cdots < i_k} "
        r"\lambda_{i_k} J_{i_k} \cdots \lambda_{i_1} (J_{i_1} x + b_{i_1})",
        "Branches of layers, with or without biases; φ(0) = 0.",
        "derived",
    ),
    Claim(
        "E8",
        "By inclusion and exclusion over sub-networks every output is a sum over sets of "
        "branches, Δ_S = O(Π λ_i), and the mean under stochastic depth is a polynomial in p.",
        r"\Delta_S = \sum_{T \subseteq S} (-1)^{|S \setminus T|} F_T(x), \quad "
        r"H_n(x) = \sum_S \Delta_S, \quad E F_S = \sum_k p^k \sum_{|S| = k} \Delta_S",
        "None; differentiable branches for the order of Δ_S.",
        "derived (Möbius inversion)",
    ),
    Claim(
        "C1",
        "There are C(n, k) paths of order k, 2^n in all, of mean length n/2; weighted by block "
        "they add up to the elementary symmetric polynomials.",
        r"\sum_k e_k(\lambda_1, \ldots, \lambda_n) z^k = \prod_l (1 + \lambda_l z)",
        "None.",
        "classical: the binomial theorem and elementary symmetric polynomials",
    ),
    Claim(
        "C2",
        "Labelled trees are counted by the multiset transform, and with 1/σ by the exponential; "
        "for each order both are polynomials in n, the weighted one with leading coefficient 1/k.",
        r"T_j(z) = z\, \mathrm{Exp}\big(\textstyle\sum_{i<j} T_i(z)\big), \quad "
        r"a_j(z) = z \exp\big(\textstyle\sum_{i<j} a_i(z)\big)",
        "None.",
        "the multiset (Euler) transform: classical; its use for labelled trees: derived",
    ),
    Claim(
        "C3",
        "Rooted trees are counted by A000081, and Ω° counts the strict labellings of a tree.",
        r"\Omega^\circ(\tau; n) = \#\{\ell: \tau \to [n] \mid \ell(\text{child}) < "
        r"\ell(\text{parent})\}",
        "None.",
        "classical: OEIS A000081; Stanley's strict order polynomial",
    ),
    Claim(
        "C4",
        "The path polynomial of an architecture counts its paths by order, with weights and after "
        "lesions; a residual tower has C(n, k), and half its paths survive the loss of a block.",
        r"P_{\mathrm{source}} = 1, \quad P_v(z) = \sum_{e: u \to v} w_e z^{o_e} P_u(z), \quad "
        r"P_{\mathrm{tower}}(z) = (1 + z)^n",
        "A directed acyclic graph with one source and one sink, edges as maps.",
        "derived",
    ),
    Claim(
        "G1",
        "Independent energy-preserving branches multiply the energy by 1 + λ_l² in each block.",
        r"E\|H_n(x)\|^2 = \prod_l (1 + \lambda_l^2)\, \|x\|^2",
        _INITIALISATION,
        "λ = 1: De & Smith 2020 (arXiv 2002.10444); any scales: derived",
    ),
    Claim(
        "G2",
        "The orders of gated paths are uncorrelated and have the energies e_k(λ_1², …, λ_n²).",
        r"E\langle P_j, P_k \rangle = \delta_{jk}\, e_k(\lambda_1^2, \ldots, \lambda_n^2)\, "
        r"\|x\|^2",
        _INITIALISATION
        + " Branches V relu(U x) with gates frozen at the forward pass, which comes "
        "through no gate's boundary (almost surely so for weights with a density).",
        "derived",
    ),
    Claim(
        "G3",
        "Aligned branches add amplitudes: Π(1 + λ_l 𝓛), below e^𝓛 at 1/n and, at 1/√n, "
        "between e^(𝓛√n − 𝓛²/2) and e^(𝓛√n).",
        r"\frac{\|H_n(x)\|}{\|x\|} = \prod_l (1 + \lambda_l \mathcal{L})",
        "Every branch multiplies the state by 𝓛 ≥ 0; scales of at least 0.",
        "derived",
    ),
    Claim(
        "G4",
        "Normalised branches add the same energy in every block, as the scales 1/√l do: n + 1 in "
        "all, with the spectrum c(n+1, k+1)/n! and the mean order H_(n+1) − 1.",
        r"q_n = \prod_{l \le n} (1 + 1/l) = n + 1, \quad e_k(1, \tfrac12, \ldots, \tfrac1n) = "
        r"\frac{c(n+1, k+1)}{n!}",
        "Independent zero-mean initialisation; branches of energy 1 whatever their input.",
        "energies: De & Smith 2020 (arXiv 2002.10444); spectrum and mean order: derived",
    ),
    Claim(
        "G5",
        "Dividing every block by √2 keeps the energy at 1 with mean order d/2; the scale 1/√d "
        "gives (1 + 1/d)^d; the scale 0 is the identity.",
        r"2^{-d} \prod_{l \le d} (1 + 1) = 1, \quad (1 + \tfrac1d)^d < e, \quad "
        r"\bar k = \sum_l \frac{\lambda_l^2}{1 + \lambda_l^2}",
        _INITIALISATION,
        "SkipInit, 1/√d and ÷√2: De & Smith 2020 (arXiv 2002.10444); mean orders: derived",
    ),
    Claim(
        "G6",
        "Branches θ relu(W x) have a mean and add coherently: s gains θ√(q/π) and q gains "
        "2θs√(q/π) + θ²q in each block; θ = 1/√L explodes like e^√(L/π), θ = c/L is depth-free.",
        r"s \leftarrow s + \theta \sqrt{q/\pi}, \quad "
        r"q \leftarrow q + 2 \theta s \sqrt{q/\pi} + \theta^2 q",
        "W ~ N(0, 2/m), per coordinate s = ⟨x, 1⟩/m and q = ‖x‖²/m; infinite width (one block's "
        "means hold at every width).",
        "derived",
    ),
    Claim(
        "G7",
        "Energies, correlations and gradients go through blocks by maps of an activation's normal "
        "moments κ, γ, μ, χ, and ln ‖x_n‖² fluctuates with a variance proportional to 1/width.",
        r"q \leftarrow q + 2 \lambda s \mu + \lambda^2 \kappa, \quad "
        r"p \leftarrow p + 2 \lambda s \mu + \lambda^2 \gamma, \quad "
        r"\|g\|^2 \leftarrow \|g\|^2 (1 + \lambda^2 \chi)",
        "Independent normal weights and biases, infinite width; the fluctuation to first order in "
        "1/width.",
        "moments and maps: classical mean-field theory; gelu's kernel, the residual forms with a "
        "mean, and the fluctuation: derived",
    ),
    Claim(
        "G8",
        "Branches bounded by M at x with Lipschitz constants 𝓛 move x by at most "
        "(M/𝓛)(Π(1 + |λ_l| 𝓛) − 1), and beyond first order by at most that less M Σ |λ_l|.",
        r"\|H_n(x) - x\| \le \tfrac{M}{\mathcal{L}} \big[\textstyle\prod_l (1 + |\lambda_l| "
        r"\mathcal{L}) - 1\big]",
        "No smoothness. Bounds in one norm; M > 0 and 𝓛 > 0.",
        "derived",
    ),
    Claim(
        "B1",
        "Branches bounded by B_l on the complex ball of radius ρ about x have orders of at most "
        "ρq^k and a tail after K of at most ρq^(K+1)/(1−q), q = Σ|λ_l|B_l/ρ; a scalar tower of "
        "their majorants bounds every order more sharply.",
        r"\|P_k\| \le \rho q^k, \quad \Big\|H_n - \sum_{k \le K} P_k\Big\| \le "
        r"\frac{\rho q^{K+1}}{1 - q}, \quad q = \sum_l |\lambda_l| B_l / \rho",
        "Branches analytic on the complex ball, in the Euclidean norm; q < 1 for the tail.",
        "derived",
    ),
    Claim(
        "B2",
        "The Lipschitz constant is at most Π(1 + |λ_l| 𝓛_l) ≤ exp(Σ|λ_l| 𝓛_l), the geometric "
        "complexity at most d times its square; to second order in the scale the complexity is "
        "d + 2Σλ tr f' and what the theorem's first two orders add.",
        r"\mathrm{Lip}(H_n) \le \prod_l (1 + |\lambda_l| \mathcal{L}_l), \quad "
        r"\mathrm{GC} = \overline{\|\nabla H_n\|_F^2} \le d \prod_l (1 + |\lambda_l| "
        r"\mathcal{L}_l)^2, \quad \mathrm{GC} = d + 2 \sum_l \lambda_l "
        r"\overline{\mathrm{tr} f_l'} + O(\lambda^2)",
        "Lipschitz branches, in the Euclidean norm; analytic ones for the expansion.",
        "geometric complexity: Dherin et al. 2022 (arXiv 2209.13083); bounds and expansion: "
        "derived",
    ),
    Claim(
        "B3",
        "Towers x ↦ x + W σ(x)/L with ‖W‖ ≤ R are Lipschitz in W with K_F = M(1 + K_σR/L)^(L−1), "
        "weights that vary slowly in depth have covers that do not grow with it, and so the "
        "expected loss is at most the mean loss + 2K_ℓK_Fε + M̄√((log N(ε) + log 1/δ)/2n).",
        r"\mathcal R \le \hat{\mathcal R} + 2 K_\ell K_F \varepsilon + \bar M "
        r"\sqrt{\frac{\log N(\varepsilon) + \log(1/\delta)}{2n}}, \quad "
        r"K_F = M (1 + \tfrac{K_\sigma R}{L})^{L-1}",
        "A class fixed before the sample is drawn: |σ(x_j)| ≤ M, entries K-Lipschitz in depth; "
        "independent samples; a loss of at least 0 that is K_ℓ-Lipschitz in the output.",
        "shape, and the Lipschitz cover: Marion 2023 (arXiv 2305.06648); constants: derived",
    ),
    Claim(
        "B4",
        "On the τ-ball about any weights, and for every activation pattern, the Jacobian between "
        "residual layers is at most Π(1 + θ(‖W_l‖ + τ)); half the error is at most the surrogate "
        "error, which is at most the loss; the last layer's worst linearisation error is known.",
        r"\Big\| \prod_l (I + \theta D_l W_l^\top) \Big\| \le "
        r"e^{\theta \sum_l (\|W_l^{(0)}\| + \tau)}, \quad "
        r"\tfrac12 1\{z \le 0\} \le -\ell'(z) \le \ell(z)",
        "σ = relu, logistic loss, labels ±1; a readout of ±1 for the linearisation error.",
        "surrogate error and gap terms: Frei, Cao & Gu 2019 (arXiv 1910.02934); certificate and "
        "worst linearisation error: derived",
    ),
)

CLAIMS: Mapping[str, Claim] = MappingProxyType({claim.id: claim for claim in _ALL})


def claim_ids(wanted: str | Iterable[str] | None = None) -> list[str]:
    """The ids asked for, in the catalogue's order and each once; all of them by default.

    Raises
    ------
    InputError
        For an id that is not in the catalogue, with the ones that are.

    Examples
    --------
    >>> claim_ids(["c1", "E1"])
    ['E1', 'C1']
    """
    if wanted is None:
        return list(CLAIMS)
    asked = [wanted] if isinstance(wanted, str) else list(wanted)
    ids = {one.strip().upper() for one in asked}
    if unknown := sorted(ids - {one.upper() for one in CLAIMS}):
        known = ", ".join(CLAIMS)
        raise InputError(f"claims among {known}", ", ".join(unknown), "choose among these")
    return [one for one in CLAIMS if one.upper() in ids]
