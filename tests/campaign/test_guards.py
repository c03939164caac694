"""The table of guards matches the markers in the code."""

import subprocess
import sys
from pathlib import Path

import pytest
from campaign.guards import GUARDS, ROOT, Guard, find_markers, marker_name

each_guard = pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)


def test_every_guard_has_one_marker_and_every_marker_a_guard() -> None:
    names = [guard.name for guard in GUARDS]
    assert len(names) == len(set(names))
    assert {name: len(files) for name, files in find_markers().items()} == dict.fromkeys(names, 1)


def test_disabled_guards_are_valid_code(tmp_path: Path) -> None:
    """An undefined name would make the tests fail for the wrong reason."""
    markers = find_markers()
    for guard in GUARDS:
        (file,) = markers[guard.name]
        original = (ROOT / file).read_text(encoding="utf-8")
        disabled = guard.disable_in(original)
        assert disabled != original
        (tmp_path / f"{guard.name}.py").write_text(disabled, encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F822,F823", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


@each_guard
def test_tests_of_a_guard_exist(guard: Guard) -> None:
    for test in guard.tests:
        file, _, function = test.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not function or f"def {function.partition('[')[0]}(" in text, test


def test_replacement_keeps_indentation_and_marker() -> None:
    text = "def f(n):\n    if n < 0:  # why # guard: positive\n        return 1\n"
    assert marker_name(text.splitlines()[1]) == "positive"
    assert marker_name("x = 1  # a guard") is None
    disabled = Guard("positive", "if False:", ()).disable_in(text)
    assert disabled == text.replace("if n < 0:", "if False:")
    assert Guard("positive", ("< 0", "< -1"), ()).disable_in(text) == text.replace("< 0", "< -1")
    with pytest.raises(AssertionError, match="must occur once in"):
        Guard("positive", ("> 0", "> 1"), ()).disable_in(text)
