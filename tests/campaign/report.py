"""Write the figures of the last full campaign into docs/reliability.md, between its markers.

Usage: report.py [RESULTS.json]; by default the newest full one in tests/campaign/results.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from campaign.rows import ROWS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def newest() -> Path:
    full = [
        path for path in Path(__file__).with_name("results").glob("*.json") if json.loads(path.read_bytes())["full"]
    ]
    return max(full, key=lambda path: path.stat().st_mtime)


def outcome(row: dict[str, Any]) -> str:
    parts = [f"{row[word]} {word}" for word in ("passed", "failed", "skipped") if row[word]]
    return ", ".join(parts) + (f" (at {row['commit']})" if "commit" in row else "")


def figures(row: dict[str, Any]) -> str:
    return "; ".join(f"{value:,} {name}" for name, value in row["figures"].items())


def table(results: dict[str, Any]) -> str:
    """Return the account of one campaign: what was promised, tried and found, then the tests by name."""
    lines = [
        f"Run on {results['date']} at commit {results['commit']}: {results['minutes']:.0f} minutes on "
        f"{results['cores']} cores ({results['system']}, Python {results['python']}){results.get('note', '')}.",
        "",
        "| what goes wrong | what we promise | tests | tried |",
        "|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        found = results["rows"].get(name)
        got = (outcome(found), figures(found)) if found else ("none ran", "")
        lines.append(f"| {row.failure} | {row.promise} | {got[0]} | {got[1]} |")
    lines += ["", "<details><summary>The tests of each row, by name</summary>", ""]
    for name, row in ROWS.items():
        names: dict[str, list[str]] = {}
        for test in results["rows"].get(name, {"tests": {}})["tests"]:
            file, _, function = test.partition("::")
            names.setdefault(file, []).append(f"`{function}`")
        tests = "; ".join(f"{file}: {', '.join(functions)}" for file, functions in names.items())
        lines.append(f"- *{row.failure}*: {tests}")
    return "\n".join([*lines, "", "</details>"])


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else newest()
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    text = f"{before}{BEGIN}\n{table(json.loads(path.read_bytes()))}\n{END}{after}"
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
