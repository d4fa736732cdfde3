"""Reports for people: a table in the terminal, Markdown; what was computed is only written."""

from __future__ import annotations

from collections.abc import Iterator

from expansion.report.grid import Grid, markdown_text, print_table
from proofs_check.claims import CLAIMS
from proofs_check.results import Report, Result

__all__ = ["markdown", "print_text", "results_grid", "summary"]

_HEADINGS = ("claim", "check", "verdict", "reach", "saboteurs", "cases", "seconds")


def results_grid(report: Report) -> Grid:
    """One row for each check."""
    rows = tuple(
        (
            result.claim,
            result.check,
            result.evidence.verdict.name,
            result.evidence.reach,
            _fallen(result),
            f"{result.evidence.cases:,}",
            f"{result.seconds:.2f}",
        )
        for result in report.results
    )
    return Grid("Checks", _HEADINGS, rows, text_columns=5)


def _fallen(result: Result) -> str:
    refuted = sum(one.refuted for one in result.saboteurs)
    return f"{refuted} of {len(result.saboteurs)} refuted"


def summary(report: Report) -> str:
    """The report in two lines: whether all is well, and what it depends on."""
    failed = [f"{result.claim} ({result.check})" for result in report.results if not result.passed]
    saboteurs = sum(len(result.saboteurs) for result in report.results)
    claims = len({result.claim for result in report.results})
    checks = len(report.results)
    good = f"{checks} checks of {claims} claims pass, {saboteurs} saboteurs are refuted."
    versions = ", ".join(
        f"{name} {number}" for name, number in report.to_dict()["versions"].items()
    )
    effort = "deep" if report.effort.deep else "quick"
    sampled = [r.evidence.excluded_rate for r in report.results if r.evidence.excluded_rate]
    power = f" samples rule out failure rates above {max(sampled):.1%} at 99 %;" if sampled else ""
    first = f"FAILED: {'; '.join(failed)}." if failed else good
    return f"{first}\nSeed {report.effort.seed}, {effort};{power} {versions}."


def print_text(report: Report, *, saboteurs: bool) -> None:
    """Print the table, what failed, and on request every saboteur with its counterexample."""
    print_table(results_grid(report))
    for title, text in _findings(report, saboteurs=saboteurs):
        print(title)
        print("\n".join(f"    {line}".rstrip() for line in text.splitlines()), end="\n\n")
    print(summary(report))


def markdown(report: Report, *, saboteurs: bool) -> str:
    """The same as a Markdown page, with the statements of the claims and their sources."""
    lines = ["# Checks", "", summary(report), "", markdown_text(results_grid(report))]
    findings = list(_findings(report, saboteurs=saboteurs))
    if findings:
        lines += ["", "## Counterexamples"]
    for title, text in findings:
        lines += ["", f"### {title}", "", "```python", text, "```"]
    lines += ["", "## Claims", ""]
    for claim in (CLAIMS[one] for one in CLAIMS if one in {r.claim for r in report.results}):
        lines.append(f"- **{claim.id}** {claim.statement} ${claim.latex}$")
        lines.append(f"  *Hypotheses:* {claim.hypotheses} *Source:* {claim.source}.")
    return "\n".join(lines)


def _findings(report: Report, *, saboteurs: bool) -> Iterator[tuple[str, str]]:
    """What failed, and on request also how every saboteur fell."""
    for result in report.results:
        found = result.evidence.counterexample
        if not result.evidence.passed:
            title = f"{result.claim}, {result.check}: {result.evidence.verdict.name}"
            yield title, found or f"# {result.evidence.reach}"
        for one in result.saboteurs:
            found = one.evidence.counterexample
            if not one.refuted:
                title = f"{result.claim}, {result.check}: saboteur SURVIVED: {one.description}"
                yield title, f"# {one.evidence.verdict.name}: {one.evidence.reach}"
            elif saboteurs:
                title = f"{result.claim}, {result.check}: refuted: {one.description}"
                yield title, found or ""
