"""Features unlike those of the training are refused, or scored with a warning, by predict and evaluate."""

import gzip
import json
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pytest
from campaign.rows import sized
from support.tiny import CommandResult, dc

from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.simulation.model import MARKS
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.errors import BadDataError
from deepchrome.train.run.config import RunConfig, read_config, write_config
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.checks import FeatureChecks
from deepchrome.train.scoring.predict import predict

# The reads and genes are of hg19: as if somebody had insisted on another genome.
OTHER_GENOME = ("--genome", "hg38", "--no-build-check")

Lines = list[bytes]


@dataclass(frozen=True)
class Lab:
    """Simulated reads of two epigenomes, their features, and a run trained on E001."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def count(
        self, out: Path, *options: str, genes: str = "genes.tsv", change: Callable[[str, Lines], Lines] | None = None
    ) -> Path:
        """Count the reads of E001, changed per mark by ``change``, and return the directory of the features."""
        reads = out.parent / f"reads-{out.name}"
        reads.mkdir()
        for mark in MARKS:
            lines = gzip.decompress((self.folder / "data" / f"E001-{mark}.tagAlign.gz").read_bytes()).splitlines(True)
            (reads / f"E001-{mark}.bed").write_bytes(b"".join(change(mark, lines) if change else lines))
        genome = () if "--genome" in options else ("--genome", "hg19")
        ran = dc("featurize", reads, "--genes", self.folder / "data" / genes, *genome, "--out", out, *options)
        assert ran.code == 0, ran.err
        return out

    def train(self, features: Path, out: Path, *options: str) -> CommandResult:
        """Train logistic models on all epigenomes."""
        expression = self.folder / "data" / "expression.tsv"
        return dc("train", features, "--expression", expression, "--out", out, "--model", "logistic", *options)

    def score(self, features: Path, *options: str) -> tuple[CommandResult, CommandResult]:
        """Run predict and evaluate; check that they write scores or nothing."""
        out = features / "scores.tsv"
        out.unlink(missing_ok=True)
        predicted = dc("predict", self.run, features, "--out", out, *options)
        assert out.exists() == (predicted.code == 0)
        expression = self.folder / "data" / "expression.tsv"
        evaluated = dc("evaluate", self.run, features, "--expression", expression, "--bootstrap", "0", *options)
        assert bool(evaluated.out) == (evaluated.code == 0)
        return predicted, evaluated


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    data = lab.folder / "data"
    simulate(data, genes=400, reads=40_000)
    out = lab.folder / "features"
    assert dc("featurize", data, "--genes", data / "genes.tsv", "--genome", "hg19", "--out", out).code == 0
    trained = dc(
        *("train", out, "--expression", data / "expression.tsv", "--out", lab.run),
        *("--model", "logistic", "--epigenomes", "E001", "--device", "cpu"),
    )
    assert trained.code == 0, trained.err
    lines = (data / "genes.tsv").read_text().splitlines(True)
    rows = [line.split("\t") for line in lines[1:]]
    # Other ids: the shift can then be seen in the reads only.
    moved = ["\t".join((f"X{i}", *row[1:3], str(int(row[3]) + 20_000), *row[4:])) for i, row in enumerate(rows)]
    (data / "moved.tsv").write_text("".join((lines[0], *moved)))
    same_ids = ["\t".join((*row[:3], str(int(row[3]) + 20_000), *row[4:])) for row in rows]
    (data / "far.tsv").write_text("".join((lines[0], *same_ids)))
    one = "\t".join((*rows[0][:3], str(int(rows[0][3]) + 1), *rows[0][4:]))
    (data / "one_moved.tsv").write_text("".join((lines[0], one, *lines[2:])))
    for name, strands in (("strandless", {"+": ".", "-": "."}), ("flipped", {"+": "-", "-": "+"})):
        changed = ["\t".join((*row[:4], strands[row[4].rstrip()])) + "\n" for row in rows]
        (data / f"{name}.tsv").write_text("".join((lines[0], *changed)))
    return lab


def swap_marks(lab: Lab, out: Path, one: str, two: str) -> None:
    """Count the reads of E001 with two marks swapped."""
    reads = {mark: lab.folder / "data" / f"E001-{mark}.tagAlign.gz" for mark in MARKS}
    reads[one], reads[two] = reads[two], reads[one]
    table = out.parent / "samples.tsv"
    table.write_text("epigenome\tmark\tpath\n" + "".join(f"E001\t{mark}\t{path}\n" for mark, path in reads.items()))
    genes = lab.folder / "data" / "genes.tsv"
    assert dc("featurize", "--samples", table, "--genes", genes, "--genome", "hg19", "--out", out).code == 0


def assert_refused(results: tuple[CommandResult, CommandResult], pattern: str) -> None:
    for ran in results:
        assert ran.code == 65
        assert re.search(pattern, ran.err), ran.err
        assert ran.err.count("\ndc: ") + ran.err.startswith("dc: ") == 1
        assert "Traceback" not in ran.err


@pytest.mark.campaign("unlike")
def test_features_of_the_same_kind_are_scored_without_a_warning(lab: Lab, tmp_path: Path) -> None:
    """The run's own data, the reads of another epigenome, and half of the reads."""
    assert dc("evaluate", lab.run, "--cross").err.count("warning") == 0
    for name in ("E001", "E002"):
        features = lab.folder / "features" / f"{name}.parquet"
        ran = dc("predict", lab.run, features, "--model-of", "E001", "--out", tmp_path / f"{name}.tsv")
        assert (ran.code, ran.err.count("\n")) == (0, 2), ran.err
        assert ran.err.startswith(f"dc predict: {name}: reads 1 times those of the training; nearest profile E001 (")
    for ran in lab.score(lab.count(tmp_path / "half", change=lambda _, lines: lines[::2])):
        assert ran.code == 0
        assert "warning" not in ran.err


@pytest.mark.campaign("unlike", "messages")
def test_a_tenth_of_the_reads_gives_a_warning_with_the_numbers(lab: Lab, tmp_path: Path) -> None:
    tenth = lab.count(tmp_path / "tenth", change=lambda _, lines: lines[::10])
    for ran in lab.score(tenth):
        assert ran.code == 0
        where = "E001.parquet" if "dc predict" in ran.err else "features of E001"
        assert f"{where}: {', '.join(MARKS)}: 4,000 reads (training: 40,000)\n" in ran.err
        assert ran.err.count("warning") == 1


@pytest.mark.campaign("unlike", "messages")
@pytest.mark.parametrize(
    ("one", "two"), sized([("H3K27me3", "H3K4me3"), ("H3K36me3", "H3K4me1")], list(combinations(MARKS, 2)))
)
def test_swapped_marks_are_refused_by_name(one: str, two: str, lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "swapped"
    swap_marks(lab, out, one, two)
    first, second = sorted((one, two))
    swapped = f"the marks seem to be swapped: {second} looks like {first}, {first} looks like {second} in the training"
    assert_refused(lab.score(out), swapped)
    for ran in lab.score(out, "--allow-unlike"):
        assert ran.code == 0
        assert re.search(f"warning: .*{swapped}", ran.err)


@pytest.mark.campaign("unlike", "messages")
def test_tsss_of_another_build_and_reads_of_one_chromosome_are_refused(lab: Lab, tmp_path: Path) -> None:
    moved = lab.count(tmp_path / "moved", genes="moved.tsv")
    predicted = dc("predict", lab.run, moved, "--out", tmp_path / "scores.tsv")
    share = r"[\d.]+% of the reads in the windows of 400 genes \(training: [\d.]+% in those of 400\)"
    everything = "; ".join(f"{mark}: {share}" for mark in MARKS)
    assert predicted.code == 65
    assert re.search(rf"moved/E001\.parquet: unlike the .*{everything}\. Use --allow-unlike", predicted.err)
    assert not (tmp_path / "scores.tsv").exists()
    allowed = dc("predict", lab.run, moved, "--out", tmp_path / "scores.tsv", "--allow-unlike")
    assert allowed.code == 0
    assert re.search(rf"warning: .*{everything}\n", allowed.err)

    chr1 = lab.count(tmp_path / "chr1", change=lambda _, lines: [line for line in lines if line.startswith(b"chr1\t")])
    no_reads = (
        r"H3K4me1, .*: no reads near any gene of some chromosomes, which have [\d.]+% of the genes \(training: 0%\)"
    )
    assert_refused(lab.score(chr1), no_reads)

    one_empty = lab.count(
        tmp_path / "empty", "--allow-empty", change=lambda mark, lines: lines if mark != "H3K9me3" else []
    )
    assert_refused(lab.score(one_empty), "H3K9me3: no reads in the windows")


@pytest.mark.campaign("provenance", "messages")
def test_other_read_options_are_refused_with_both_values(lab: Lab, tmp_path: Path) -> None:
    stranded = lab.count(tmp_path / "stranded", "-s")
    for options in ((), ("--allow-unlike", "--allow-other-genome")):
        assert_refused(
            lab.score(stranded, *options),
            r"E001.*: counted with other settings than the features of the training \(strand same, not None\)",
        )
    # Options that change nothing in these reads.
    for ran in lab.score(lab.count(tmp_path / "same", "-q", "30", "--unknown-chrom", "skip")):
        assert ran.code == 0
        assert "warning" not in ran.err


@pytest.mark.campaign("provenance", "messages")
def test_another_genome_is_refused_unless_it_is_accepted(lab: Lab, tmp_path: Path) -> None:
    other = lab.count(tmp_path / "other", *OTHER_GENOME)
    named = r"E001.*: counted on another genome .* of the training \(genome hg38 \(\w{8}\), not hg19 \(\w{8}\)\)"
    assert_refused(lab.score(other), rf"{named}\. Use --allow-other-genome")
    assert_refused(lab.score(other, "--allow-unlike"), named)
    for ran in lab.score(other, "--allow-other-genome"):
        assert ran.code == 0
        assert re.search(f"warning: .*{named}", ran.err)
    stranded = lab.count(tmp_path / "stranded", *OTHER_GENOME, genes="flipped.tsv")
    assert_refused(lab.score(stranded, "--allow-other-genome"), "their strands differ")


def use_sorted_genome(folder: Path) -> Path:
    """Write hg19 sorted by name, with one more contig."""
    path = folder / "sorted.sizes"
    sizes = read_genome("hg19").sizes | {"chrZ": 1000}
    path.write_text("".join(f"{name}\t{size}\n" for name, size in sorted(sizes.items())))
    return path


@pytest.mark.campaign("provenance")
def test_the_order_of_the_genome_and_contigs_without_genes_do_not_matter(lab: Lab, tmp_path: Path) -> None:
    genome = ("--genome", use_sorted_genome(tmp_path))
    sorted_features = lab.count(tmp_path / "sorted", *genome)
    for ran in lab.score(sorted_features):
        assert ran.code == 0
        assert "warning" not in ran.err
    (sorted_features / "E002.parquet").write_bytes((lab.folder / "features" / "E002.parquet").read_bytes())
    assert lab.train(sorted_features, tmp_path / "run").code == 0


@pytest.mark.campaign("provenance")
def test_the_order_of_the_genome_matters_where_it_moves_reads(lab: Lab, tmp_path: Path) -> None:
    """With --unknown-chrom bedtools, reads on unknown chromosomes move to the first chromosome of the genome."""
    unknown = ("--unknown-chrom", "bedtools")

    def rename(_: str, lines: Lines) -> Lines:
        return [
            b"chrNew" + line[4:] if line.startswith(b"chr1\t") and i % 9 == 0 else line for i, line in enumerate(lines)
        ]

    features = tmp_path / "features"
    lab.count(features, *unknown, change=rename)
    shuffled = lab.count(tmp_path / "sorted", *unknown, "--genome", str(use_sorted_genome(tmp_path)), change=rename)
    shutil.copy(features / "E001.parquet", tmp_path / "E001.parquet")
    assert lab.train(features, tmp_path / "run").code == 0
    ran = dc("predict", tmp_path / "run", shuffled, "--out", tmp_path / "scores.tsv")
    assert ran.code == 65
    assert "counted on another genome" in ran.err


@pytest.mark.campaign("provenance", "messages")
def test_a_cross_matrix_gives_each_warning_once(lab: Lab, tmp_path: Path) -> None:
    both = tmp_path / "both"
    data = lab.folder / "data"
    assert dc("featurize", data, "--genes", data / "genes.tsv", *OTHER_GENOME, "--out", both).code == 0
    assert lab.train(lab.folder / "features", tmp_path / "run").code == 0
    call = ("evaluate", tmp_path / "run", both, "--expression", data / "expression.tsv", "--allow-other-genome")
    for option in ("--cross", "--bootstrap=0"):
        ran = dc(*call, option)
        assert ran.code == 0
        assert ran.err.count("counted on another genome") == 1
        assert "warning: features of E001, E002: counted on another genome" in ran.err


@pytest.mark.campaign("provenance", "messages")
@pytest.mark.parametrize("genes", ["strandless.tsv", "flipped.tsv"])
def test_other_strands_are_refused_where_they_matter(genes: str, lab: Lab, tmp_path: Path) -> None:
    """The counts are equal, but the bins of genes on the other strand are not reversed as in the training."""
    features = lab.count(tmp_path / "strands", genes=genes)
    assert_refused(
        lab.score(features),
        "E001.*: the genes are those of the training, but their strands differ. Use --allow-unlike",
    )
    for ran in lab.score(features, "--allow-unlike"):
        assert ran.code == 0
        assert "warning" in ran.err
        assert ("400 genes of unknown strand keep the genomic order" in ran.err) == (genes == "strandless.tsv")
    genomic = tmp_path / "genomic"
    assert lab.train(lab.folder / "features", genomic, "--orient", "genomic").code == 0
    ran = dc("predict", genomic, features, "--out", tmp_path / "scores.tsv")
    assert (ran.code, ran.err.count("\n")) == (0, 2), ran.err
    # Reads counted by strand depend on it in every orientation.
    stranded = tmp_path / "stranded"
    lab.count(stranded, "-s")
    assert lab.train(stranded, tmp_path / "run", "--orient", "genomic").code == 0
    changed = lab.count(tmp_path / "changed", "-s", genes=genes)
    ran = dc("predict", tmp_path / "run", changed, "--out", tmp_path / "stranded.tsv")
    assert ran.code == 65
    assert "their strands differ" in ran.err


@pytest.mark.campaign("provenance", "messages")
def test_a_moved_tss_gives_a_warning(lab: Lab, tmp_path: Path) -> None:
    for ran in lab.score(lab.count(tmp_path / "one", genes="one_moved.tsv")):
        assert ran.code == 0
        assert "E001" in ran.err
        assert ": the genes are those of the training, but some TSSs are at other places\n" in ran.err
        assert ran.err.count("warning") == 1
    far = lab.count(tmp_path / "far", genes="far.tsv")
    assert_refused(lab.score(far), "the TSSs were elsewhere|of the reads in the windows of 400 genes")


@pytest.mark.campaign("provenance", "messages")
def test_a_cross_matrix_is_made_of_the_data_of_the_training(lab: Lab, tmp_path: Path) -> None:
    features = tmp_path / "features"
    shutil.copytree(lab.folder / "features", features)
    lab_run = tmp_path / "run"
    assert lab.train(features, lab_run, "--split", "random", "--seed", "5").code == 0
    before = dc("evaluate", lab_run, "--cross")
    assert before.code == 0
    half = lab.count(tmp_path / "half", change=lambda _, lines: lines[::2])
    shutil.copy(half / "E001.parquet", features / "E001.parquet")
    ran = dc("evaluate", lab_run, "--cross")
    assert (ran.code, ran.out) == (65, "")
    assert f"{lab_run}: the data of E001 have changed since training. Train again" in ran.err
    # Other labels are other data.
    assert dc("evaluate", lab_run, "--cross", "--label-threshold", "2").code == 0
    (features / "E001.parquet").unlink()
    ran = dc("evaluate", lab_run, "--cross")
    assert (ran.code, ran.out) == (65, "")
    assert "no epigenome E001" in ran.err


@pytest.mark.campaign("unlike", "messages")
def test_training_on_an_epigenome_unlike_the_others_gives_a_warning(lab: Lab, tmp_path: Path) -> None:
    features = tmp_path / "features"
    swap_marks(lab, features, "H3K27me3", "H3K4me3")
    shutil.copy(lab.folder / "features" / "E002.parquet", features)
    ran = lab.train(features, tmp_path / "run")
    assert ran.code == 0
    swapped = "the marks seem to be swapped: H3K4me3 looks like H3K27me3, H3K27me3 looks like H3K4me3 in the other epi"
    for name in ("E001", "E002"):
        assert f"dc train: warning: {name}: unlike the other epigenomes: {swapped}genomes\n" in ran.err
    assert ran.err.count("warning") == 2
    assert "warning" not in lab.train(lab.folder / "features", tmp_path / "right").err


@pytest.mark.campaign("provenance", "messages")
def test_mixed_features_are_not_trained_on(lab: Lab, tmp_path: Path) -> None:
    data, features = lab.folder / "data", tmp_path / "mixed"
    reads = sorted(data.glob("*.tagAlign.gz"))
    differences = {"strand None, not same": ("-s",), r"genome hg19 \(\w+\), not hg38": OTHER_GENOME}
    for text, options in differences.items():
        features = tmp_path / str(len(text))
        for name, extra in (("E001", options), ("E002", ())):
            chosen = [path for path in reads if path.name.startswith(name)]
            genome = () if "--genome" in extra else ("--genome", "hg19")
            command = ("featurize", *chosen, "--genes", data / "genes.tsv", *genome, *extra, "--out", features)
            assert dc(*command).code == 0
        ran = dc("train", features, "--expression", data / "expression.tsv", "--out", tmp_path / "run")
        assert ran.code == 65
        assert re.search(
            rf"{features}/E002\.parquet: counted with other settings than {features}/E001\.parquet \({text}", ran.err
        )
        assert not (tmp_path / "run").exists()


@pytest.mark.campaign("provenance", "messages")
def test_a_renamed_file_is_not_trained_on_predicted_evaluated_or_shown(lab: Lab, tmp_path: Path) -> None:
    renamed = tmp_path / "E002.parquet"
    renamed.write_bytes((lab.folder / "features" / "E001.parquet").read_bytes())
    expression = ("--expression", lab.folder / "data" / "expression.tsv")
    commands = [
        ("train", renamed, *expression, "--out", tmp_path / "run"),
        ("predict", lab.run, renamed, "--model-of", "E001", "--out", tmp_path / "scores.tsv"),
        ("evaluate", lab.run, renamed, *expression, "--model-of", "E001"),
        ("export", renamed, "--labels", tmp_path / "labels.tsv", "--out", tmp_path / "exported"),
    ]
    assert dc("labels", *expression, "--out", tmp_path / "labels.tsv").code == 0
    for command in commands:
        ran = dc(*command)
        assert (ran.code, ran.out) == (65, ""), command
        assert f"{renamed}: holds the features of E001. Rename it to E001.parquet" in ran.err
    swapped = tmp_path / "E001.parquet"
    swapped.write_bytes((lab.folder / "features" / "E002.parquet").read_bytes())
    ran = dc("visualize", lab.run, swapped, *expression, "--out", tmp_path / "report")
    assert ran.code == 65
    assert f"{swapped}: holds the features of E002. Rename it to E002.parquet" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["E001.parquet", "E002.parquet", "labels.tsv", "report"]
    assert not (tmp_path / "report" / "report.html").exists()


@pytest.mark.campaign("limits", "messages")
def test_features_that_do_not_fit_are_refused_before_they_are_read(lab: Lab, tmp_path: Path) -> None:
    """A message about their bins, not about their damage: nothing but the header was read."""
    data = lab.folder / "data"
    out = tmp_path / "fine"
    reads = sorted(data.glob("E001*.tagAlign.gz"))
    fine = dc("featurize", *reads, "--genes", data / "genes.tsv", "--genome", "hg19", "--out", out, "--bin-size", "50")
    assert fine.code == 0
    path = out / "E001.parquet"
    content = bytearray(path.read_bytes())
    content[4:1000] = bytes(996)
    path.write_bytes(content)
    ran = dc("predict", lab.run, out, "--out", tmp_path / "scores.tsv")
    assert ran.code == 65
    assert "features of E001 do not fit the model: 200 bins per gene, expected 100; 50 bp per bin" in ran.err


def test_runs_of_older_versions_compare_nothing_and_say_so_once(lab: Lab, tmp_path: Path) -> None:
    """Their config.json records neither the profile nor the counting."""
    config = read_config(lab.run)
    old = {
        name: {k: v for k, v in entry.items() if k not in {"profile", "counting"}}
        for name, entry in config.data.items()
    }
    assert set(config.data["E001"]) - set(old["E001"]) == {"profile", "counting"}
    for folder in ("models",):
        (tmp_path / folder).symlink_to(lab.run / folder)
    for file in ("summary.tsv", "predictions.parquet"):
        (tmp_path / file).write_bytes((lab.run / file).read_bytes())
    write_config(tmp_path, RunConfig(config.fit, config.inputs, config.source, old, config.made_with, format_version=1))
    tenth = lab.count(tmp_path / "tenth", "-s", change=lambda _, lines: lines[::10])
    ran = dc("predict", tmp_path, tenth, "--out", tmp_path / "scores.tsv")
    assert (ran.code, ran.err.count("\n")) == (0, 2), ran.err
    assert (
        f"dc predict: warning: {tmp_path}: this run does not record how its features were counted or the profile of "
        "its features, so new features are not compared with it\n"
    ) in ran.err


@pytest.mark.parametrize(("key", "value"), [("profile", {}), ("profile", {"genes": "x"}), ("counting", [1])])
def test_an_invalid_profile_in_the_config_is_refused(key: str, value: object, lab: Lab) -> None:
    document = read_config(lab.run).to_dict()
    document["data"]["E001"][key] = value
    with pytest.raises(BadDataError, match=r"^c: not the config of a run"):
        RunConfig.from_dict(json.loads(json.dumps(document)), "c")


def test_the_library_gives_python_warnings_or_calls_a_function(lab: Lab, tmp_path: Path) -> None:
    tenth = lab.count(tmp_path / "tenth", change=lambda _, lines: lines[::10])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet = predict(Run(lab.run), tenth)
    (warning,) = caught
    assert str(warning.message).endswith(f"{', '.join(MARKS)}: 4,000 reads (training: 40,000)")
    assert warning.category is UserWarning
    said: list[str] = []
    assert predict(Run(lab.run), tenth, checks=FeatureChecks(on_warning=said.append)).equals(quiet)
    assert said == [str(warning.message)]
