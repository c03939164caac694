"""Compare what is in a wheel with what git tracks: nothing dropped, nothing under a generic name."""

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
# Results and the maintainers' tools are for a checkout.
left_out = ("deepchrome/benchmarks/results/", "deepchrome/benchmarks/maintain/")
expected = {name for name in expected if not name.startswith(left_out)}
packed = {name for name in zipfile.ZipFile(sys.argv[1]).namelist() if ".dist-info/" not in name}
if packed != expected:
    sys.exit(f"missing from the wheel: {sorted(expected - packed)}\nnot in git: {sorted(packed - expected)}")
sys.stdout.write(f"{len(packed)} files in the wheel, all of them tracked, none missing\n")
