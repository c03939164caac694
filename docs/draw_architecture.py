"""Draw docs/figures/architecture.svg from the imports in the source.

Run `python docs/draw_architecture.py` after changing the package structure. An arrow from A to B means that A
imports B. Arrows that follow from other arrows are left out.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURE = ROOT / "docs" / "figures" / "architecture.svg"

# Each package: its column and row in the layer, and its purpose.
ENGINE = {
    "kernels": (0, 1, "inner loops (numba)"),
    "annotation": (1, 1, "genes, genome, bins"),
    "streams": (1, 2, "bytes from files, URLs"),
    "counting": (2, 1, "one file → counts"),
    "simulation": (2, 0, "data with known truth"),
    "features": (3, 1, "many files → Parquet"),
    "roadmap": (4, 1, "manifest, download"),
    "regioncounts": (4, 0, "many files in any regions"),
}
TRAIN = {
    "datasets": (0, 0, "labels, splits, inputs"),
    "models": (1, 0, "networks, baselines"),
    "fitting": (2, 0, "many models at once"),
    "run": (3, 0, "the RUN directory"),
    "scoring": (4, 0, "evaluate, predict"),
    "report": (5, 0, "maps, figures, page"),
}
# The layers from top to bottom: name, purpose, packages, number of rows.
LAYERS = (
    ("cli", "commands: one file each", {}, 1),
    ("benchmarks", "measure, and compare with other programs", {}, 1),
    ("train", "deepchrome.train: counts and expression → models", TRAIN, 1),
    ("engine", "deepchrome.engine: reads → counts; imports neither torch nor train", ENGINE, 3),
    ("common", "files, locks, names, tables, URLs, cores; errors", {}, 1),
)
WIDTH, BOX_WIDTH, BOX_HEIGHT, STEP, ROW, MARGIN = 960, 128, 44, 155, 58, 16


def find_imports(layer: str) -> dict[str, set[str]]:
    """Return, for each package of a layer, the other packages of the layer that it imports."""
    imports: dict[str, set[str]] = {}
    for file in sorted((ROOT / layer).glob("*/**/*.py")):
        package = file.relative_to(ROOT / layer).parts[0]
        imports.setdefault(package, set()).update(_packages_imported(file, f"deepchrome.{layer}.") - {package})
    return imports


def _packages_imported(file: Path, prefix: str) -> set[str]:
    """Return the packages under a dotted prefix that a file imports."""
    modules = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    return {module.removeprefix(prefix).split(".")[0] for module in modules if module.startswith(prefix)}


def reduce_edges(imports: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return the edges of the transitive reduction of a graph without cycles."""
    reachable: dict[str, set[str]] = {}

    def find_reachable(package: str) -> set[str]:
        if package not in reachable:
            direct = imports.get(package, ())
            reachable[package] = set().union(*({other} | find_reachable(other) for other in direct))
        return reachable[package]

    return [
        (package, other)
        for package in sorted(imports)
        for other in sorted(imports[package])
        if not any(other in find_reachable(between) for between in imports[package] - {other})
    ]


def draw() -> str:
    """Return the figure as SVG."""
    body, y = [], 12
    for number, (name, text, packages, rows) in enumerate(LAYERS):
        height = 40 + rows * ROW if packages else 40
        body.append(f'<rect class="layer" x="{MARGIN}" y="{y}" width="{WIDTH - 2 * MARGIN}" height="{height}" rx="8"/>')
        body.append(f'<text x="{MARGIN + 14}" y="{y + 25}"><tspan class="name">{name}</tspan>  {text}</text>')
        if packages:
            body += _draw_packages(name, packages, y + 38)
        y += height
        if number < len(LAYERS) - 1:
            body.append(f'<path class="arrow" d="M {WIDTH / 2} {y} V {y + 20}"/>')
            y += 24
    return "\n".join([*_head(y + 12), *body, "</svg>", ""])


def _draw_packages(layer: str, packages: dict[str, tuple[int, int, str]], top: int) -> Iterator[str]:
    imports = find_imports(layer)
    if unknown := set(imports) - set(packages):
        raise SystemExit(
            f"docs/draw_architecture.py: no position for {', '.join(sorted(unknown))}. Add one to {layer.upper()}."
        )
    positions = {name: (MARGIN + 14 + column * STEP, top + row * ROW) for name, (column, row, _) in packages.items()}
    for name, (x, y) in positions.items():
        middle, purpose = x + BOX_WIDTH / 2, packages[name][2]
        yield f'<rect class="package" x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>'
        yield f'<text class="name" x="{middle}" y="{y + 19}" text-anchor="middle">{name}</text>'
        yield f'<text class="small" x="{middle}" y="{y + 35}" text-anchor="middle">{purpose}</text>'
    for importer, imported in reduce_edges(imports):
        (x1, y1), (x2, y2) = positions[importer], positions[imported]
        middle = BOX_HEIGHT / 2
        yield f'<path class="arrow" d="M {x1} {y1 + middle} L {x2 + BOX_WIDTH + 4} {y2 + middle}"/>'


def _head(height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="Packages of deepchrome and their imports">',
        "<style>",
        "text { font: 13px system-ui, sans-serif; fill: #1f2933 } .name { font-weight: 600 }",
        ".small { font-size: 11px; fill: #52606d } .layer { fill: #f5f7fa; stroke: #cbd2d9 }",
        ".package { fill: #ffffff; stroke: #0072b2 }",
        ".arrow { stroke: #52606d; stroke-width: 1.4; fill: none; marker-end: url(#head) }",
        "</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M 0 0 L 8 4 L 0 8 z" fill="#52606d"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
    ]


if __name__ == "__main__":
    FIGURE.write_text(draw(), encoding="utf-8")
