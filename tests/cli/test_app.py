"""The program as a whole: start-up and shell completion."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.tiny import reads_text, write_genes_and_sizes

RUN_AS = "import sys; sys.argv[0] = sys.argv.pop(1); from deepchrome.cli import main; main()"


@pytest.mark.parametrize("program", ["dc", "deepchrome"])
@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("ev", ["evaluate"]),
        ("featurize --ge", ["--genes", "--genome"]),
        ("simulate --format ", ["gzip", "bgzip", "plain"]),
        ("bench co", ["count", "compare"]),
    ],
)
def test_shell_completion(program: str, words: str, completions: list[str]) -> None:
    line = f"{program} {words}"
    environment = os.environ | {
        f"_{program.upper()}_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    command = [sys.executable, "-c", RUN_AS, program]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert completed.stdout.split() == completions


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["featurize", "--help"], ["train", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    script = """if True:
        import sys
        from deepchrome.cli import main
        sys.argv = ["dc", *sys.argv[1:]]
        try:
            main()
        except SystemExit as end:
            assert not end.code, end.code
        heavy = {"numba", "torch", "polars", "pyarrow", "numpy", "pysam", "rich.progress"} & set(sys.modules)
        print("HEAVY", sorted(heavy))
    """
    shown = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.campaign("messages")
@pytest.mark.parametrize("module", ["distributed", "torch"])
def test_missing_software_has_its_own_exit_code(module: str, tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    (tmp_path / "E1-A.bed").write_bytes(reads_text(10))
    commands = {
        "torch": "evaluate .",
        "distributed": "featurize E1-A.bed --genes genes.tsv --genome small.sizes --out out --scheduler tcp://127.0.0.1:9",
    }
    script = f"import sys; sys.modules[{module!r}] = None; sys.argv[0] = 'dc'; from deepchrome.cli import main; main()"
    command = [sys.executable, "-c", script, *commands[module].split()]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 69, ran
    assert "Install it: pip install" in ran.stderr
