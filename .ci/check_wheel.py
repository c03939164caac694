"""Check that a wheel holds exactly the files of the package that git tracks.

Usage: check_wheel.py WHEEL
"""

import subprocess
import sys
import zipfile

tracked = subprocess.run(
    ["git", "ls-files", "engine", "train", "benchmarks", "src/deepchrome"], check=True, capture_output=True, text=True
).stdout.split()
expected = set()
for path in tracked:
    name = path.removeprefix("src/") if path.startswith("src/") else f"deepchrome/{path}"
    if name.endswith((".py", ".pyi", "py.typed")) or "/data/" in name or "/assets/" in name:
        expected.add(name)
# Benchmark results and the maintainers' tools are not packaged.
checkout_only = ("deepchrome/benchmarks/results/", "deepchrome/benchmarks/maintain/")
expected = {name for name in expected if not name.startswith(checkout_only)}
packed = {name for name in zipfile.ZipFile(sys.argv[1]).namelist() if ".dist-info/" not in name}
if packed != expected:
    sys.exit(f"missing from the wheel: {sorted(expected - packed)}\nnot tracked by git: {sorted(packed - expected)}")
sys.stdout.write(f"The wheel holds all {len(packed)} tracked files and no others\n")
