"""``python tests/benchmarks``: measure every row beside its peers, print ratios, write JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import Row, find_rows, load_row, machine, measure, ratios


def main(arguments: list[str] | None = None) -> int:
    """Run the rows; the exit status says whether every gate that was reached passed."""
    known = find_rows()
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rows", default=",".join(known), help="letters, e.g. A,F")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round")
    parser.add_argument("--only-ours", action="store_true", help="leave the peers out")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        help="another interpreter to look for peers in (may be given several times)",
    )
    options = parser.parse_args(arguments)
    letters = [letter.strip().upper() for letter in options.rows.split(",")]
    if unknown := set(letters) - known.keys():
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    report: dict[str, Any] = {"machine": machine(), "rows": []}
    for letter in letters:
        row = load_row(known[letter])
        print(f"\n{row.id}  {row.title}", flush=True)
        if row.notes:
            print(f"   {row.notes}")
        report["rows"].append(run(row, options))
        if options.output:  # after every row, whole or not at all
            partial = options.output.with_suffix(".partial")
            partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            partial.replace(options.output)
    statuses = [
        side["status"]
        for row in report["rows"]
        for size in row["sizes"].values()
        for side in size["sides"]
    ]
    return int("gate" in statuses or "failed" in statuses)


def run(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one row at all its sizes and print it."""
    if options.only_ours:
        row = Row(**{**vars(row), "sides": row.sides[:1]})
    found: dict[str, Any] = {}
    print(f"   {'size':<14} {'side':<34} {'first':>9} {'cold':>9} {'warm':>9} {'peak':>8}")
    for name, size in (row.quick if options.quick else row.sizes).items():
        rounds = 1 if options.quick else 7
        sides = measure(row, size, pythons=options.python, rounds=rounds)
        compared = ratios(sides) if row.compared else []
        found[name] = {"size": size, "sides": sides, "ratios": compared}
        for side in sides:
            print_side(name, side, compared, quick=options.quick)
    return {"id": row.id, "title": row.title, "sizes": found}


def print_side(
    size: str, side: dict[str, Any], compared: list[dict[str, Any]], *, quick: bool
) -> None:
    """One line of the table."""
    start = f"   {size:<14} {side['name']:<34}"
    if side["status"] != "measured":
        words = {"missing": "missing (not installed)", "gate": "GATE FAILED", "failed": "FAILED"}
        print(start, words[side["status"]], side.get("why", ""), flush=True)
        return
    times = "".join(f"{in_words(side[kind]):>10}" for kind in ("first", "cold", "warm"))
    line = f"{start}{times} {side['peak'] / 2**20:>5.0f} MB"
    for ratio in compared:
        if ratio["peer"] == side["name"]:
            line += f"   ours is {ratio['warm']:.3g}x faster warm, {ratio['cold']:.3g}x cold"
            if ratio["met"] is not None and not quick:  # bars are for the full size
                verdict = "met" if ratio["met"] else "MISSED"
                line += f"; bar {side['bar']:g}x {side['bar_on']}: {verdict}"
    print(line, flush=True)


def in_words(seconds: float) -> str:
    """A time with its unit, to three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


if __name__ == "__main__":
    sys.exit(main())
