"""dc bench train and many: small real runs."""

import json
from pathlib import Path

import pytest
from support.tiny import dc

from deepchrome.benchmarks.common import show
from deepchrome.benchmarks.common.processes import Usage, in_turns, run, shell
from deepchrome.benchmarks.common.results import read_results
from deepchrome.benchmarks.many import race as many_files
from deepchrome.benchmarks.train.race import Plan, race
from deepchrome.errors import BadDataError, MissingInputError, StorageError
from deepchrome.train.fitting.config import FitConfig


def readme(folder: Path, kind: str) -> str:
    """What a README says of the results in ``folder``, once it follows them."""
    path = folder / "README.md"
    path.write_text(f"<!-- bench:{kind} -->\n<!-- /bench:{kind} -->\n")
    given = ("bench", "readme", "--readme", path, "--results", folder / "results")
    assert dc(*given).code == 0
    assert dc(*given, "--check").code == 0
    return path.read_text()


def test_many_files(tmp_path: Path) -> None:
    ran = dc("bench", "many", "--quick", "--data", tmp_path / "data", "--save", tmp_path / "results", "--json")
    assert ran.code == 0, ran.err
    (saved,) = (tmp_path / "results").iterdir()
    results = read_results(saved)
    assert json.loads((saved / "many.json").read_text()) == ran.json() == results.document()
    assert [(one.cells, one.different, one.work) for one in results.parity] == [(10 * 200 * 100, 0, 50_000)] * 2
    one, several = results.row("many", "one core"), results.row("many", "2 cores")
    assert one
    assert several
    assert one.work == several.work == 50_000
    assert results.figures["efficiency"] == pytest.approx(one.seconds / several.seconds / 2)
    text = readme(tmp_path, "many")
    assert f"| one core | {show.seconds(one.seconds)} s |" in text
    assert "10 files of 5,000 reads" in text


def test_counts_that_depend_on_the_company_are_refused(tmp_path: Path) -> None:
    """Features in which one bin is not what its file gives alone."""
    ran = dc("simulate", "--out", tmp_path / "data", "--epigenomes", 1, "--genes", 20, "--reads", 2000)
    assert ran.code == 0
    given = ("--genes", tmp_path / "data" / "genes.tsv", "--genome", "hg19", "--out", tmp_path / "features")
    assert dc("featurize", tmp_path / "data", *given).code == 0
    files = sorted((tmp_path / "data").glob("*.tagAlign.gz"))
    assert many_files.alone(files, tmp_path / "data", tmp_path / "features", "all").different == 0
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(BadDataError, match="of 10,000 counts are not those of a file counted by itself"):
        many_files.alone(files, tmp_path / "data", tmp_path / "features", "all")


def test_projection() -> None:
    """20 s and 11 s for 100 million reads, 1 s of it the start: 19 s and 10 s, so 95 % of two cores' worth."""
    figures = many_files.figures_of(20.0, 11.0, 1.0, 1.0, 2, 100_000_000)
    assert figures["efficiency"] == pytest.approx(20 / 22)
    assert figures["efficiency_without_start"] == pytest.approx(0.95)
    seconds = 19e9 / (100e6 / 10)
    assert figures["remc_minutes_2_cores"] == pytest.approx(seconds / 60)
    assert figures["remc_mb_per_second_2_cores"] == pytest.approx(150e9 / seconds / 1e6)
    assert figures["remc_minutes_64_cores"] == pytest.approx(seconds / 60 / 32)
    assert "remc_minutes_2_cores" not in many_files.figures_of(1.5, 1.4, 1.0, 1.0, 2, 1000)


def test_training(tmp_path: Path) -> None:
    plan = Plan((2,), 64, 1, 1, rounds=1, plain_models=1, share=0.3, most_epochs=20, simulated_genes=300)
    results = race(plan, FitConfig(batch_size=32), "dc bench train --so", lambda line: None)
    saved = results.save(tmp_path / "results")
    assert read_results(saved) == results
    rows = {row.name: row for row in results.rows}
    lockstep, plain = rows["CPU, lockstep, 2 models"], rows["CPU, plain loop, 2 models"]
    assert lockstep.work == plain.work == 2 * 64
    assert (lockstep.scale, plain.scale) == (1, 2)
    assert results.figures["lockstep / plain, 2 models"] == pytest.approx(plain.wall[0] / lockstep.wall[0])
    text = readme(tmp_path, "train")
    assert f"| CPU, lockstep, 2 models | {lockstep.work / lockstep.seconds:,.0f} |" in text
    assert "CPU, plain loop, 2 models *" in text
    assert 0.5 < results.figures["target_valid_auroc"] < results.figures["attainable_auroc"] < 1


def test_usage_is_of_the_whole_pipeline(tmp_path: Path) -> None:
    """CPU of both sides of a pipe, and memory of the larger one."""
    burn = "import time\\nwhile time.process_time() < 0.3: pass"
    eat = "b = bytearray(200 << 20); b[::4096] = b[::4096]"
    usage = shell(f"python3 -c $'{burn}' | python3 -c '{eat}'; python3 -c $'{burn}'", {}, "burning")
    assert usage.cpu > 0.6
    assert usage.rss_mib > 200
    with pytest.raises(StorageError, match="burning: failed: false alarm"):
        shell("(echo false alarm >&2; false) | true", {}, "burning")
    with pytest.raises(MissingInputError, match="no-such-program is not installed"):
        run(["no-such-program"])
    run(["grep", "Cpus_allowed_list", "/proc/self/status"], stdout=tmp_path / "out", cores=[0])
    assert (tmp_path / "out").read_text().split() == ["Cpus_allowed_list:", "0"]


def test_slow_tasks_sit_later_turns_out() -> None:
    order: list[str] = []

    def task(name: str, seconds: float):
        def go():
            order.append(name)
            return Usage(seconds, 0.0, 0.0)

        return go

    usages = in_turns({"slow": task("slow", 6.0), "fast": task("fast", 1.0)}, 4, budget=10.0)
    assert order == ["slow", "fast", "slow", "fast", "fast", "fast"]
    assert {name: len(runs) for name, runs in usages.items()} == {"slow": 2, "fast": 4}
