"""Every dependency is pinned to one version in requirements.lock, which the demo, the tests and CI install."""

import re
import tomllib

import pytest
from support.places import CHECKOUT


@pytest.mark.campaign("supply")
def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [requirement for group in groups for requirement in group]
    pins = dict(
        re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE)
    )
    names = {re.match(r"[A-Za-z0-9._-]+", one)[0].lower() for one in wanted}  # type: ignore[index]
    assert names <= {name.lower() for name in pins}
    lines = [line for line in (CHECKOUT / "requirements.lock").read_text().splitlines() if line and line[0] not in "#-"]
    assert len(lines) == len(pins), "a line is not a pin"
    makefile = (CHECKOUT / "Makefile").read_text()
    assert "-r requirements.lock" in makefile
    assert "--no-deps" in makefile
