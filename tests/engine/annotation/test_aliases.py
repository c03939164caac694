"""Other names of chromosomes: the usual ones, and those of UCSC's chromAlias files."""

import gzip
import hashlib
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from deepchrome.engine.annotation.aliases import ChromAliases, auto_aliases, read_aliases
from deepchrome.engine.annotation.genome import Genome, read_genome
from deepchrome.errors import BadDataError, MissingInputError

UCSC = Genome("ucsc", {"chr1": 100, "chr2": 90, "chrM": 16, "chrUn_KI270302v1": 3})
ENSEMBL = Genome("ensembl", {"1": 100, "2": 90, "MT": 16, "KI270302.1": 3})

# UCSC's table chromAlias, and its files hg38.chromAlias.txt of two ages.
OLD = "1\tchr1\tassembly,ensembl\nCM000663.2\tchr1\tgenbank\nNC_000001.11\tchr1\trefseq\nMT\tchrM\tensembl\n"
AGED = "# sequenceName\talias names\tUCSC database: hg38\nchr1\t1\tCM000663.2\tNC_000001.11\nchrM\tMT\n"
NEW = (
    "# ucsc\tassembly\tgenbank\tncbi\trefseq\nchr1\t1\tCM000663.2\t1\tNC_000001.11\nchrM\tMT\tJ01415.2\t\t\n"
    "chrUn_KI270302v1\tHSCHRUN_RANDOM_CTG13\tKI270302.1\t\tNT_187396.1\nchr1_KI270762v1_alt\tHSCHR1_3_CTG32_1\t\t\t\n"
)


def read(folder: Path, content: str | bytes, genome: Genome) -> ChromAliases:
    (folder / "hg38.chromAlias.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_aliases(folder / "hg38.chromAlias.txt", genome)


def test_auto_aliases() -> None:
    ucsc, ensembl = auto_aliases(UCSC), auto_aliases(ENSEMBL)
    names = ("1", "chr1", "MT", "M", "chrM", "chrMT", "KI270302.1", "chr9", "", "Chr1")
    assert [ucsc.target(name) for name in names] == ["chr1", None, "chrM", "chrM", None, "chrM", None, None, None, None]
    assert [ensembl.target(name) for name in names] == [None, "1", None, "MT", "MT", "MT", None, None, None, None]
    assert (ucsc.name, ucsc.sha256) == ("auto", None)


def test_auto_aliases_of_the_bundled_builds() -> None:
    hg38, grch38 = read_genome("hg38"), read_genome("GRCh38")
    for n in (*range(1, 23), "X", "Y"):
        assert auto_aliases(hg38).target(str(n)) == f"chr{n}"
        assert auto_aliases(grch38).target(f"chr{n}") == str(n)
    assert (auto_aliases(hg38).target("MT"), auto_aliases(grch38).target("chrM")) == ("chrM", "MT")


def test_auto_aliases_never_rename_a_chromosome_of_the_genome() -> None:
    both = auto_aliases(Genome("both", {"chr1": 5, "1": 6, "chrM": 7, "chrMT": 8}))
    assert [both.target(name) for name in ("1", "chr1", "chrM", "chrMT")] == [None] * 4
    assert (both.target("M"), both.target("MT")) == ("chrM", "chrMT")


@pytest.mark.parametrize("content", [OLD, "#alias\tchrom\tsource\n" + OLD, AGED, NEW, NEW.replace("\n", "\r\n")])
@pytest.mark.parametrize("packed", [False, True])
def test_chrom_alias_files(content: str, packed: bool, tmp_path: Path) -> None:
    data = content.encode()
    aliases = read(tmp_path, gzip.compress(data) if packed else data, UCSC)
    assert [aliases.target(name) for name in ("1", "CM000663.2", "NC_000001.11", "MT")] == ["chr1"] * 3 + ["chrM"]
    assert [aliases.target(name) for name in ("chr1", "2", "ensembl", "assembly", "sequenceName", "")] == [None] * 6
    assert (aliases.name, aliases.sha256) == ("hg38.chromAlias.txt", hashlib.sha256(data).hexdigest())
    # The genome may use any of the names.
    aliases = read(tmp_path, data, ENSEMBL)
    assert [aliases.target(name) for name in ("chr1", "NC_000001.11", "chrM", "1")] == ["1", "1", "MT", None]


def test_scaffolds_and_sequences_that_the_genome_lacks(tmp_path: Path) -> None:
    aliases = read(tmp_path, NEW, UCSC)
    assert aliases.target("NT_187396.1") == "chrUn_KI270302v1"
    assert aliases.target("HSCHR1_3_CTG32_1") is None
    assert read(tmp_path, NEW, ENSEMBL).target("chrUn_KI270302v1") == "KI270302.1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\tchr1\tensembl\n1\tchr2\tensembl\n", ":2: '1' is a name of 'chr1' and of 'chr2'. Remove one of them."),
        ("# ucsc\tncbi\nchr1\tx\nchr2\tx\n", ":3: 'x' is a name of 'chr1' and of 'chr2'. Remove one of them."),
        ("# ucsc\tncbi\nchr1\tchr2\n", ":2: 'chr1' and 'chr2' are names of one sequence here, but ucsc has both."),
        ("a\tchr1\tx\nchr2\tchr1\tx\n", ":2: 'chr1' and 'chr2' are names of one sequence here, but ucsc has both."),
        ("1\tchr1\tensembl\nchr2\n", ":2: expected another name, a chromosome and a source, tab-separated, or a "),
        ("1\tchr1\tensembl\n\n2 chr2\n", ":3: expected another name, a chromosome and a source, tab-separated, or a "),
        ("ucsc\tassembly\tgenbank\trefseq\n", ":1: expected another name"),
        ("\tchr1\tensembl\n", ":1: expected another name"),
        ("1\t\tensembl\n", ":1: expected another name"),
        ("", ": has no name of a chromosome of ucsc, such as 'chr1'. Use the file that belongs to this genome."),
        ("# ucsc\tncbi\nchrA\tA\n", ": has no name of a chromosome of ucsc, such as 'chr1'."),
        (b"\xff\xfe1\x00", ": not a table of chromosome names (it is not UTF-8 text)"),
        (gzip.compress(OLD.encode(), mtime=0)[:-3], ": damaged or truncated gzip data"),
    ],
)
def test_unclear_files_are_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataError) as refused:
        read(tmp_path, content, UCSC)
    assert str(refused.value).startswith(f"{tmp_path / 'hg38.chromAlias.txt'}{message}")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        read_aliases(tmp_path / "absent", UCSC)


def test_aliases_are_compared_hashed_and_sent_to_workers(tmp_path: Path) -> None:
    aliases = read(tmp_path, NEW, UCSC)
    assert aliases.target("1") == "chr1"  # the table is made on first use
    assert pickle.loads(pickle.dumps(aliases)) == aliases == read(tmp_path, NEW, UCSC)
    assert hash(pickle.loads(pickle.dumps(aliases))) == hash(aliases)
    assert aliases != auto_aliases(UCSC)
    assert pickle.loads(pickle.dumps(aliases)).target("MT") == "chrM"
    with pytest.raises(FrozenInstanceError):
        aliases.name = "x"  # type: ignore[misc]
