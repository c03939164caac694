"""Feature files under another name are refused, and the settings of two files are compared."""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.tiny import SIZES, dc, featurize, reads_text, write_genes_and_sizes

from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.provenance import ANY, compare_counting, counting_record, genome_sha256, merge_counting
from deepchrome.engine.features.store import read_features, read_header, write_features
from deepchrome.errors import BadDataError

# For BED. Those of BAM and those that only accept more files have no effect.
EFFECTIVE = (
    "strand", "overlap_fraction", "reciprocal", "split", "fragments", "shift", "extend", "point", "blacklist",
)  # fmt: skip
OPTIONS = {"unknown_chrom": "error", "strand": None, "min_mapq": 0, "include_duplicates": False}
COUNTED: dict[str, Any] = {"genome": "a", "genome_sha256": "0" * 64, "flank": 5000, "bin_size": 100, "options": OPTIONS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_genes_and_sizes(tmp_path)
    for i, name in enumerate(("E001-A", "E002-A")):
        (tmp_path / f"{name}.bed").write_bytes(reads_text(500, i))
    assert featurize(tmp_path, *sorted(tmp_path.glob("*.bed"))).code == 0
    (tmp_path / "labels.tsv").write_text(
        "gene_id\tE001\tE002\n" + "".join(f"g{i}\t{i % 2}\t{i % 2}\n" for i in range(10))
    )
    return tmp_path


@pytest.mark.campaign("provenance", "messages")
def test_a_file_under_another_name_is_refused_by_every_reader(folder: Path) -> None:
    out = folder / "out"
    shutil.copy(out / "E001.parquet", out / "E002.parquet")
    message = f"{out}/E002.parquet: holds the features of E001. Rename it to E001.parquet, or count the reads again"
    for read in (read_features, read_header):
        with pytest.raises(BadDataError) as caught:
            read(out / "E002.parquet")
        assert str(caught.value).startswith(message)
    commands = {
        "verify": (out, folder / "E002-A.bed", "--genome", folder / "small.sizes"),
        "export": (out, "--labels", folder / "labels.tsv", "--out", folder / "exported"),
    }
    for command, arguments in commands.items():
        ran = dc(command, *arguments)
        assert (ran.code, ran.out) == (65, "")
        assert ran.err.startswith(f"dc: {message}"), command
    assert not list(folder.glob("exported/**/*.csv"))


@pytest.mark.campaign("provenance", "resume")
def test_a_rerun_does_not_replace_a_file_of_another_epigenome(folder: Path) -> None:
    """It may be the only copy of those counts."""
    out = folder / "out"
    (out / "E001.parquet").rename(out / "E002.parquet")
    renamed = (out / "E002.parquet").read_bytes()
    ran = featurize(folder, folder / "E002-A.bed")
    assert ran.code == 2
    assert "E002.parquet: exists and does not match this call (holds the features of E001. Rename" in ran.err
    assert (out / "E002.parquet").read_bytes() == renamed
    (out / "E002.parquet").rename(out / "E001.parquet")
    assert featurize(folder, folder / "E001-A.bed").code == 0


def test_files_of_other_programs_are_named_after_their_file(folder: Path) -> None:
    features = read_features(folder / "out" / "E001.parquet")
    assert features.epigenome == "E001"
    metadata = {key: value for key, value in features.metadata.items() if key != "epigenome"}
    write_features(folder / "liver.parquet", features.genes, {"A": features.counts[:, :, 0]}, metadata)
    assert read_features(folder / "liver.parquet").epigenome == "liver"
    write_features(folder / "E7.parquet", features.genes, {"A": features.counts[:, :, 0]}, {**metadata, "epigenome": 7})
    with pytest.raises(BadDataError, match="metadata is damaged"):
        read_features(folder / "E7.parquet")


def test_the_record_of_a_file_marks_options_without_effect(folder: Path) -> None:
    record = counting_record(read_header(folder / "out" / "E001.parquet").metadata)
    assert (record["genome"], record["flank"], record["bin_size"]) == ("small.sizes", 5000, 100)
    assert record["genome_sha256"] == genome_sha256(Genome("any", SIZES))
    # All reads are BED and on the genome.
    effective = {name: value for name, value in record["options"].items() if value != ANY}
    defaults = vars(ReadOptions())
    assert effective == {name: defaults[name] for name in EFFECTIVE}
    assert set(record["genes"]) == {"gene_id", "chrom", "tss", "strand"}
    assert record["gene_chromosomes"] == {name: SIZES.get(name) for name in record["gene_chromosomes"]}
    assert record["gene_chromosomes"]


def sources(form: str, off_genome: Mapping[str, int]) -> dict[str, Any]:
    return {"sources": {"A": {"format": form, "reads_off_genome": dict(off_genome)}}}


BED = sources("BED", {})
GENOME = "genome_sha256"
OTHER_GENOME: dict[str, Any] = {GENOME: "1" * 64}
CHROMOSOMES: dict[str, Any] = {"gene_chromosomes": {"1": 9, "2": 7}}
MOVED = sources("BED", {"x": 1}) | {"options": OPTIONS | {"unknown_chrom": "bedtools"}}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "equal": ({}, {}, []),
    "another genome of the same name": ({}, {"genome_sha256": "1" * 64}, ["genome_sha256"]),
    "windows": ({}, {"flank": 4000, "bin_size": 50}, ["flank", "bin_size"]),
    "strand": ({}, {"options": OPTIONS | {"strand": "same"}}, ["strand"]),
    "quality of BAM": (sources("BAM", {}), sources("BAM", {}) | {"options": OPTIONS | {"min_mapq": 9}}, ["min_mapq"]),
    "quality of BED": (BED, BED | {"options": OPTIONS | {"min_mapq": 9}}, []),
    "quality of BAM beside BED": (BED, sources("BAM", {}) | {"options": OPTIONS | {"min_mapq": 9}}, []),
    "no read off the genome": (sources("BAM", {"x": 1}), {"options": OPTIONS | {"unknown_chrom": "skip"}}, []),
    "skipped and not": (
        sources("BED", {"x": 1}) | {"options": OPTIONS | {"unknown_chrom": "skip"}},
        sources("BED", {"x": 1}) | {"options": OPTIONS | {"unknown_chrom": "bedtools"}},
        ["unknown_chrom"],
    ),
    "skipped nothing": (
        BED | {"options": OPTIONS | {"unknown_chrom": "skip"}},
        sources("BED", {"x": 1}) | {"options": OPTIONS | {"unknown_chrom": "bedtools"}},
        [],
    ),
    "lenient options": ({}, {"options": OPTIONS | {"allow_empty": True, "allow_no_eof": True}}, []),
    "an option that an older version lacks": ({}, {"options": OPTIONS | {"include_qc_fail": False}}, []),
    "a new option in use": ({}, {"options": OPTIONS | {"include_qc_fail": True}}, ["include_qc_fail"]),
    "chromosomes of another genome": (CHROMOSOMES, OTHER_GENOME | {"gene_chromosomes": {"1": 9, "2": 8}}, [GENOME]),
    "another order or more contigs": (CHROMOSOMES, OTHER_GENOME | CHROMOSOMES, []),
    "genes on other chromosomes too": (CHROMOSOMES, OTHER_GENOME | {"gene_chromosomes": {"2": 7, "X": 1}}, []),
    "genes off one genome": (CHROMOSOMES, OTHER_GENOME | {"gene_chromosomes": {"1": 9, "2": None}}, [GENOME]),
    "no chromosome in common": (CHROMOSOMES, OTHER_GENOME | {"gene_chromosomes": {"chr1": 9}}, [GENOME]),
    "another order that moves reads": (
        MOVED | CHROMOSOMES,
        MOVED | CHROMOSOMES | OTHER_GENOME,
        [GENOME],
    ),
    "another order where no read is moved": (MOVED | CHROMOSOMES | BED, MOVED | CHROMOSOMES | BED | OTHER_GENOME, []),
    "nothing recorded": ({}, {"options": None, "genome_sha256": None, "flank": None, "bin_size": None}, []),
}


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("case", CASES)
def test_settings_of_two_files_are_compared_in_both_directions(case: str) -> None:
    one, two, different = CASES[case]
    records = [counting_record({k: v for k, v in {**COUNTED, **part}.items() if v is not None}) for part in (one, two)]
    for here, there in itertools.permutations(records):
        assert list(compare_counting(here, there, known_only=True)) == different


def test_merged_records_know_what_any_of_them_knows() -> None:
    strange = sources("BAM", {"x": 1}) | {"options": OPTIONS | {"unknown_chrom": "skip"}}
    one, two, three = (counting_record(COUNTED | part) for part in (BED, strange | CHROMOSOMES, {"options": None}))
    for records in itertools.permutations((one, two, three)):
        merged: dict[str, Any] = {}
        for record in records:
            merged = merge_counting(merged, record)
        assert merged["gene_chromosomes"] == CHROMOSOMES["gene_chromosomes"]
        assert (merged["options"]["min_mapq"], merged["options"]["unknown_chrom"]) == (0, "skip")
        assert merged["genome_sha256"] == COUNTED["genome_sha256"]


def test_counting_rules_are_compared_between_files_but_not_with_a_request() -> None:
    """A file with another rule is counted again, not refused, when it is requested."""
    one, two = ({**COUNTED, "count_rule": rule} for rule in (1, 2))
    assert compare_counting(one, two, known_only=True) == {"count_rule": (1, 2)}
    assert compare_counting(one, two) == {}
    assert counting_record(one)["count_rule"] == 1
