"""Write the figures of the newest full campaign into docs/reliability.md, between its markers.

Usage: report.py [RESULTS.json].
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


def newest_results() -> Path:
    """Return the newest results of a full campaign."""
    paths = Path(__file__).with_name("results").glob("*.json")
    full = [(results["date"], path) for path in paths if (results := json.loads(path.read_bytes()))["full"]]
    return max(full)[1]


def format_table(results: dict[str, Any]) -> str:
    """Return the Markdown for one campaign: when and where it ran, and a table of its rows."""
    lines = [
        f"The last full campaign ran on {results['date']} at commit {results['commit']} and took "
        f"{results['minutes']:.0f} minutes",
        f"on {results['cores']} cores ({results['system']}, Python {results['python']}){results.get('note', '')}.",
        "",
        "| failure | promise | tested |",
        "|---|---|---|",
    ]
    for name, row in ROWS.items():
        lines.append(f"| {row.failure} | {row.promise} | {_format_outcome(results['rows'].get(name))} |")
    return "\n".join(lines)


def _format_outcome(outcome: dict[str, Any] | None) -> str:
    """Return the numbers of tests and of cases that they tried."""
    if outcome is None:
        return "not run"
    parts = [f"{outcome['passed']} test{'s' if outcome['passed'] != 1 else ''} passed"]
    parts += [f"{outcome[word]} {word}" for word in ("failed", "skipped") if outcome[word]]
    parts += [f"{value:,} {name}" for name, value in outcome["figures"].items()]
    return "; ".join(parts) + (f" (at commit {outcome['commit']})" if "commit" in outcome else "")


def update_document(path: Path) -> None:
    """Write the table of the results in ``path`` into the document."""
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    table = format_table(json.loads(path.read_bytes()))
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    update_document(Path(sys.argv[1]) if len(sys.argv) > 1 else newest_results())
