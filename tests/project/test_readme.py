"""The README's library example runs as it stands."""

import re

from support.places import CHECKOUT

from deepchrome.engine.simulation.simulate import simulate

README = CHECKOUT / "README.md"


def test_library_example_runs(tmp_path, monkeypatch):
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 1
    simulate(tmp_path / "data", epigenomes=1, genes=50, reads=5000, marks=["H3K4me3"])
    monkeypatch.chdir(tmp_path / "data")
    names: dict[str, object] = {}
    exec(compile(examples[0], str(README), "exec"), names)
    assert names["counts"].shape == (50, 100)
    assert names["counts"].sum() > 1000


def test_commands_named_in_the_readme_exist():
    from typer.main import get_command

    from deepchrome.cli import app

    named = set(re.findall(r"`?dc ([a-z]+)", README.read_text(encoding="utf-8")))
    assert named == set(get_command(app).commands)
