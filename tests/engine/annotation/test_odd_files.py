"""Gene tables as programs write them: odd lines are left out and reported, or refused; the counts are right."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from oracle import bedtools
from oracle.naive import Gene
from support.tiny import SIZES, dc, featurize, reads_text

from deepchrome.engine.annotation.genes import Genes, read_genes, write_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.features.store import read_features
from deepchrome.errors import BadDataError

# The genes that every table below gives, and their bins in bedtools: start on +, end on -, 1-based.
GENES = [Gene("chr1", 20_001, "+"), Gene("chr1", 70_000, "-"), Gene("chr2", 120_001, "+")]


def gff(attributes: Callable[[int], str], strands: str = "+-+", before: str = "", after: str = "") -> str:
    spans = ((20_001, 30_000), (60_001, 70_000), (120_001, 125_000))
    lines = [
        f"{GENES[i].chrom}\tx\tgene\t{start}\t{end}\t.\t{strands[i]}\t.\t{attributes(i)}\n"
        for i, (start, end) in enumerate(spans)
    ]
    return before + "".join(lines) + after


def gtf_attributes(i: int) -> str:
    return f'gene_id "g{i}"; gene_name "S{i}";'


def gff3_attributes(i: int) -> str:
    return f"ID=g{i};Name=S{i}"


def strandless(strand: str, attributes: str, n: int = 1) -> str:
    return f"chr1\tx\tgene\t90001\t95000\t.\t{strand}\t.\t{attributes}\n" * n


REGION = "chr1\tx\tregion\t1\t250000\t.\t+\t.\t.\n"
FASTA = ">chr1 a chromosome\twith a tab\n" + "ACGT" * 30_000 + "\nAC\n>chr2\nACGT\n"

TABLES: dict[str, tuple[str | bytes, int]] = {
    "FASTA section": (gff(gff3_attributes, after=f"###\n##FASTA\n{FASTA}"), 0),
    "bare FASTA": (gff(gff3_attributes, after=FASTA), 0),
    "no attributes in the first line": (gff(gff3_attributes, before=f"##gff-version 3\n{REGION}"), 0),
    "no attributes in the first line of GTF": (gff(gtf_attributes, before=REGION), 0),
    "no attributes at all in a transcript": (gff(gtf_attributes, after=REGION.replace("region", "exon")), 0),
    "GTF gene without strand": (gff(gtf_attributes, after=strandless(".", 'gene_id "lost";')), 1),
    "GFF3 genes without strand": (
        gff(gff3_attributes, before=strandless("?", "ID=lost"), after=strandless(".", "ID=lost", 2)),
        3,
    ),
    "BED body without strand": (
        "chr1\t20000\t30000\tg0\t0\t+\nchr1\t60000\t70000\tg1\t0\t-\nchr1\t90000\t95000\tlost\t0\t.\n"
        "chr2\t120000\t125000\tg2\t0\t+\n",
        1,
    ),
    "Latin-1 in a comment": ("# von Müller\n".encode("latin-1") + gff(gtf_attributes).encode(), 0),
    "Latin-1 in other attributes": (
        gff(lambda i: gtf_attributes(i) + ' note "Müller";').encode("latin-1"),
        0,
    ),
    "Latin-1 in the source": (gff(gff3_attributes).replace("\tx\t", "\tMüller\t").encode("latin-1"), 0),
}


@pytest.mark.bedtools
@pytest.mark.campaign("odd-files")
@pytest.mark.parametrize("kind", TABLES)
def test_counts_are_those_of_bedtools(kind: str, tmp_path: Path) -> None:
    content, n_strandless = TABLES[kind]
    (tmp_path / "genes.tsv").write_bytes(content if isinstance(content, bytes) else content.encode())
    bedtools.write_genome(tmp_path / "small.sizes", SIZES)
    reads = reads_text(2000)
    (tmp_path / "E1-A.bed").write_bytes(reads)
    ran = featurize(tmp_path, tmp_path / "E1-A.bed")
    assert ran.code == 0, ran.err
    bam = bedtools.bed_to_bam(reads, SIZES, tmp_path)
    stored = read_features(tmp_path / "out" / "E1.parquet")
    assert stored.counts[:, :, 0].tolist() == bedtools.multicov(bam, GENES, SIZES, 5000, 100, tmp_path)
    assert stored.genes.gene_id == ("g0", "g1", "g2")
    assert stored.metadata["genes_without_strand"] == ["lost"] * n_strandless
    note = f"genes left out because their table gives no strand, so that their TSS is unknown: {n_strandless} (lost"
    assert (note in ran.err) == (n_strandless > 0)


@pytest.mark.campaign("odd-files")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            gff(gff3_attributes, after=f"##FASTA\n{FASTA}" + gff(gff3_attributes)),
            ":10: annotation after the sequences that begin on line 4. Move those to the end.",
        ),
        (
            gff(gtf_attributes).replace("chr1\tx\tgene\t60001", ">chr1\tx\tgene\t60001"),
            ":3: annotation after the sequences that begin on line 2. Move those to the end.",
        ),
        (
            gff(gtf_attributes, strands="..."),
            ": no gene has a strand, so no TSS is known (3 genes, such as 'g0'). Use an annotation with strands.",
        ),
        (
            gff(lambda i: f'gene_id "Ø{i}";').encode("latin-1"),
            ":1: the gene id '\\udcd80' is not UTF-8 text. The line is 'chr1\\tx\\tgene\\t20001\\t30000\\t.\\t+\\t.\\t"
            'gene_id "\\udcd80";\'.',
        ),
        (gff(lambda i: "."), ":1: gene line without gene_id or ID attribute. The line is "),
    ],
)
def test_unclear_tables_are_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "genes.gff"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadDataError) as refused:
        read_genes(path)
    assert str(refused.value).startswith(f"{path}{message}")


def test_genes_without_strand_stay_known(tmp_path: Path) -> None:
    (tmp_path / "g.gtf").write_text(gff(gtf_attributes, after=strandless(".", 'gene_id "lost";')))
    genes = read_genes(tmp_path / "g.gtf")
    assert genes.strandless == ("lost",)
    assert genes.take(np.array([1])).strandless == ("lost",)
    with pytest.raises(BadDataError, match=r"gene 1 cannot be written: the gene id 'E.udcff' is not UTF-8 text"):
        write_genes(tmp_path / "out", Genes(("E\udcff",), ("",), ("chr1",), np.array([5]), ("+",)))


@pytest.mark.bedtools
@pytest.mark.campaign("odd-files", "naming", "resume")
def test_few_reads_on_the_chromosomes_of_the_genes(tmp_path: Path) -> None:
    """They are refused with the way out, which changes no count, and does not make an earlier output outdated."""
    (tmp_path / "genes.tsv").write_text("gene_id\tchrom\ttss\tstrand\ng0\tchr1\t20001\t+\n")
    sizes = SIZES | {"chr3": 250_000}
    bedtools.write_genome(tmp_path / "small.sizes", sizes)
    far = reads_text(8000).replace(b"chr1", b"chr3").replace(b"chr2", b"chr3")
    reads = reads_text(40).replace(b"chr2", b"chr1") + far
    path = tmp_path / "E1-A.bed"
    path.write_bytes(reads)
    ran = featurize(tmp_path, path)
    assert ran.code == 65
    problem = f"{path}: only 40 of 8,040 reads lie on the genes' chromosomes (chr1). "
    advice = "Use reads, genes and a genome of the same build. Use --allow-few to accept this."
    assert f"dc: {problem}{advice}\n" in ran.err
    assert not (tmp_path / "out" / "E1.parquet").exists()
    assert featurize(tmp_path, path, "--allow-few").code == 0
    bam = bedtools.bed_to_bam(reads, sizes, tmp_path)
    stored = read_features(tmp_path / "out" / "E1.parquet")
    assert stored.counts[:, :, 0].tolist() == bedtools.multicov(bam, GENES[:1], sizes, 5000, 100, tmp_path)
    assert stored.counts.sum() > 0
    assert dc("verify", tmp_path / "out", path, "--genome", tmp_path / "small.sizes").code == 0
    kept = featurize(tmp_path, path)
    assert (kept.code, "E1: up to date, kept" in kept.err) == (0, True)


@pytest.mark.campaign("tables")
def test_chromosome_sizes_may_be_compressed_or_end_in_carriage_returns(tmp_path: Path) -> None:
    path = tmp_path / "small.sizes"
    for text in ("chr1\t5\r\nchr2\t6\r\n", "chr1\t5\rchr2\t6", "\ufeffchr1\t5\nchr2\t6"):
        path.write_bytes(text.encode())
        assert read_genome(path).sizes == {"chr1": 5, "chr2": 6}
