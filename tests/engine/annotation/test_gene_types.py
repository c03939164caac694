"""Genes of GTF and GFF3 files of all kinds: types of genes, and files of transcripts or exons only."""

import random
from pathlib import Path

import pytest
from oracle import bedtools
from support.tiny import dc, reads_text

from deepchrome.engine.annotation.genes import Genes, drop_repeated_genes, read_genes
from deepchrome.errors import BadDataError

ENSEMBL_GFF3 = """##gff-version 3
##sequence-region   1 1 248956422
1	Ensembl	chromosome	1	248956422	.	.	.	ID=chromosome:1;Alias=CM000663.2
1	cpg	biological_region	10469	11240	1.3e+03	.	.	external_name=oe %3D 0.79
1	havana	pseudogene	11869	14409	.	+	.	ID=gene:ENSG00000223972;Name=DDX11L1;gene_id=ENSG00000223972
1	havana	pseudogenic_transcript	11900	13670	.	+	.	ID=transcript:T1;Parent=gene:ENSG00000223972
1	havana	exon	11900	12057	.	+	.	Parent=transcript:T1
1	havana	ncRNA_gene	14404	29570	.	-	.	ID=gene:ENSG00000227232;Name=WASH7P;gene_id=ENSG00000227232
1	havana	lnc_RNA	14404	29000	.	-	.	ID=transcript:ENST00000488147;Parent=gene:ENSG00000227232
1	havana	gene	65419	71585	.	+	.	ID=gene:ENSG00000186092;Name=OR4F5;gene_id=ENSG00000186092
1	havana	mRNA	65419	71585	.	+	.	ID=transcript:ENST00000641515;Parent=gene:ENSG00000186092
1	ensembl	V_gene_segment	80000	80100	.	+	.	ID=gene:ENSG00000000009;gene_id=ENSG00000000009
1	ensembl	V_gene_segment	80001	80100	.	+	.	ID=transcript:ENST00000000009;Parent=gene:ENSG00000000009
"""
FLYBASE_GFF3 = """2L	FlyBase	gene	100	900	.	+	.	ID=FBgn0000001;Name=a
2L	FlyBase	pseudogene	150	900	.	+	.	ID=FBtr0000001;Parent=FBgn0000001
2L	FlyBase	tRNA_gene	2000	2100	.	-	.	ID=FBgn0000002
"""
FLYBASE_GTF = """2L	FlyBase	gene	100	900	.	+	.	gene_id "FBgn0000001"; gene_symbol "a";
2L	FlyBase	pseudogene	150	900	.	+	.	gene_id "FBgn0000001"; transcript_id "FBtr0000001";
2L	FlyBase	pseudogene	3000	3900	.	+	.	gene_id "FBgn0000003"; transcript_id "";
"""
NCBI_GTF = """NC_1	BestRefSeq	gene	100	900	.	-	.	gene_id "A"; transcript_id ""; gene "A";
NC_1	BestRefSeq	transcript	100	900	.	-	.	gene_id "A"; transcript_id "NM_1"; gene "A";
"""
GENCODE_V10 = """chr1	ENSEMBL	gene	100	900	.	-	.	gene_id "ENSG1.2"; transcript_id "ENSG1.2"; gene_name "A";
chr1	ENSEMBL	transcript	100	800	.	-	.	gene_id "ENSG1.2"; transcript_id "ENST1.1"; gene_name "A";
"""
TAIR_GFF3 = """Chr1	TAIR10	gene	3631	5899	.	+	.	ID=AT1G01010
Chr1	TAIR10	transposable_element_gene	433031	433819	.	-	.	ID=AT1G02228
Chr1	TAIR10	transposable_element	1	99	.	-	.	ID=AT1TE00010
Chr1	TAIR10	pseudogene	438000	439000	.	+	.	ID=AT1G02250
Chr1	TAIR10	pseudogenic_exon	438000	439000	.	+	.	Parent=AT1G02250.1
"""

GENE_FILES = {
    "Ensembl GFF3": (
        ENSEMBL_GFF3,
        {
            "ENSG00000223972": ("1", 11869, "+"),
            "ENSG00000227232": ("1", 29570, "-"),
            "ENSG00000186092": ("1", 65419, "+"),
            "ENSG00000000009": ("1", 80000, "+"),
        },
        {"pseudogene": 1, "ncRNA_gene": 1, "gene": 1, "V_gene_segment": 1},
    ),
    "FlyBase GFF3": (
        FLYBASE_GFF3,
        {"FBgn0000001": ("2L", 100, "+"), "FBgn0000002": ("2L", 2100, "-")},
        {"gene": 1, "tRNA_gene": 1},
    ),
    "FlyBase GTF": (
        FLYBASE_GTF,
        {"FBgn0000001": ("2L", 100, "+"), "FBgn0000003": ("2L", 3000, "+")},
        {"gene": 1, "pseudogene": 1},
    ),
    "NCBI GTF": (NCBI_GTF, {"A": ("NC_1", 900, "-")}, {"gene": 1}),
    "GENCODE 10": (GENCODE_V10, {"ENSG1.2": ("chr1", 900, "-")}, {"gene": 1}),
    "TAIR GFF3": (
        TAIR_GFF3,
        {"AT1G01010": ("Chr1", 3631, "+"), "AT1G02228": ("Chr1", 433819, "-"), "AT1G02250": ("Chr1", 438000, "+")},
        {"gene": 1, "transposable_element_gene": 1, "pseudogene": 1},
    ),
}


def read(folder: Path, text: str) -> Genes:
    (folder / "genes.any").write_text(text)
    return read_genes(folder / "genes.any")


def places(genes: Genes) -> dict[str, tuple[str, int, str]]:
    rows = zip(genes.chrom, genes.tss.tolist(), genes.strand, strict=True)
    return dict(zip(genes.gene_id, rows, strict=True))


def lines_by_type(text: str) -> dict[str, int]:
    types = [line.split("\t")[2] for line in text.splitlines() if not line.startswith("#")]
    return {name: types.count(name) for name in types}


@pytest.mark.parametrize("kind", GENE_FILES)
def test_every_type_of_gene_is_read(kind: str, tmp_path: Path) -> None:
    text, expected, used = GENE_FILES[kind]
    genes = read(tmp_path, text)
    assert (places(genes), dict(genes.lines_used)) == (expected, used)
    assert len(genes) == len(expected)
    unused = {name: n - used.get(name, 0) for name, n in lines_by_type(text).items()}
    assert genes.lines_unused == {name: n for name, n in unused.items() if n}
    assert genes.scattered == ()
    assert drop_repeated_genes(genes).lines_used == used


def test_types_that_are_not_genes() -> None:
    from deepchrome.engine.annotation.gff import is_gene

    no = ("pseudogenic_transcript", "gene_segment", "V_gene_segment", "transposable_element", "genes", "mRNA", "region")
    assert [name for name in no if is_gene(name, "ID=x")] == []
    yes = ("gene", "ncRNA_gene", "pseudogene", "processed_pseudogene", "protein_coding_gene", "miRNA_gene", "mt_gene")
    assert [name for name in yes if not is_gene(name, "ID=x")] == []


def random_transcripts(seed: int) -> list[tuple[str, str, int, int, str, str, list[tuple[int, int]]]]:
    """Return transcripts: gene, chromosome, start, end, strand, id, exons (1-based inclusive)."""
    dice = random.Random(seed)
    transcripts = []
    for g in range(40):
        chrom, strand = f"chr{dice.randint(1, 2)}", dice.choice("+-")
        for t in range(dice.randint(1, 4)):
            ends = sorted(dice.sample(range(1000, 200_000), 2 * dice.randint(1, 4)))
            exons = [*zip(ends[::2], ends[1::2], strict=True)]
            transcripts.append((f"g{g}", chrom, ends[0], ends[-1], strand, f"g{g}.t{t}", exons))
    dice.shuffle(transcripts)
    return transcripts


def as_gtf(transcripts: list[tuple], types: tuple[str, ...]) -> str:
    lines = []
    for gene, chrom, start, end, strand, name, exons in transcripts:
        attributes = f'gene_id "{gene}"; transcript_id "{name}"; gene_name "S-{gene}";'
        spans = [
            ("transcript", start, end),
            *(("exon", *exon) for exon in exons),
            ("CDS", exons[0][0] + 1, exons[0][1]),
        ]
        lines += [
            f"{chrom}\tx\t{kind}\t{a}\t{b}\t.\t{strand}\t.\t{attributes}\n" for kind, a, b in spans if kind in types
        ]
    return "".join(lines)


def as_gff3(transcripts: list[tuple], attribute: str) -> str:
    return "".join(
        f"{chrom}\tx\tmRNA\t{start}\t{end}\t.\t{strand}\t.\tID={name};{attribute}={gene};Name={name}\n"
        f"{chrom}\tx\texon\t{start}\t{end}\t.\t{strand}\t.\tParent={name}\n"
        for gene, chrom, start, end, strand, name, _ in transcripts
    )


FORMS = {
    "StringTie": lambda t: as_gtf(t, ("transcript", "exon")),
    "transcripts only": lambda t: as_gtf(t, ("transcript",)),
    "exons only": lambda t: as_gtf(t, ("exon", "CDS")),
    "gffread": lambda t: as_gff3(t, "geneID"),
    "GFF3 without genes": lambda t: as_gff3(t, "Parent"),
}


@pytest.mark.bedtools
@pytest.mark.parametrize("form", FORMS)
def test_genes_of_transcripts_are_those_of_bedtools(form: str, tmp_path: Path) -> None:
    """The TSS of a gene is the lowest start of its transcripts on +, and the highest end on -."""
    transcripts = random_transcripts(seed=len(form))
    table = sorted(f"{t[0]}\t{t[1]}\t{t[4]}\t{t[2]}\t{t[3]}\n" for t in transcripts)
    grouped = bedtools.run(
        "bedtools", "groupby", "-g", "1,2,3", "-c", "4,5", "-o", "min,max", stdin="".join(table).encode()
    )
    expected = {}
    for line in grouped.decode().splitlines():
        gene, chrom, strand, start, end = line.split("\t")
        expected[gene] = (chrom, int(start if strand == "+" else end), strand)
    text = FORMS[form](transcripts)
    genes = read(tmp_path, text)
    assert places(genes) == expected
    assert genes.gene_id == tuple(dict.fromkeys(t[0] for t in transcripts))
    lines = lines_by_type(text)
    used = {
        name: n for name, n in lines.items() if name in (("exon", "transcript") if "gene_id" in text else ("mRNA",))
    }
    assert genes.lines_used == used
    assert genes.lines_unused == {name: n for name, n in lines.items() if name not in used}


def line(gene: str, chrom: str, start: int, end: int, strand: str, kind: str = "transcript") -> str:
    return f'{chrom}\tx\t{kind}\t{start}\t{end}\t.\t{strand}\t.\tgene_id "{gene}"; gene_name "S";\n'


def test_gene_in_several_places_has_one_row(tmp_path: Path) -> None:
    text = (
        line("HLA-A", "chr6_apd_hap1", 10, 50, "+")
        + line("PAR", "chrY", 300, 400, "-")
        + line("HLA-A", "chr6", 5_000, 6_000, "+")
        + line("PAR", "chrX", 500, 600, "-")
        + line("PAR", "chrY", 350, 450, "-")
        + line("both", "chr1", 700, 800, "-")
        + line("both", "chr1", 600, 900, "+")
        + line("one", "chr1", 1, 2, "+")
        + line("none", "chr1", 1, 2, ".")
        + line("some", "chr1", 30, 40, ".")
        + line("some", "chr1", 50, 60, "+", "exon")
    )
    genes = read(tmp_path, text)
    assert places(genes) == {
        "HLA-A": ("chr6", 5_000, "+"),
        "PAR": ("chrY", 450, "-"),
        "both": ("chr1", 800, "-"),
        "one": ("chr1", 1, "+"),
        "some": ("chr1", 50, "+"),
    }
    assert genes.scattered == ("HLA-A", "PAR", "both")
    assert genes.strandless == ("none",)
    assert genes.lines_used == {"transcript": 5, "exon": 1}
    assert genes.lines_unused == {"transcript": 5}


def test_transcripts_do_not_matter_beside_genes(tmp_path: Path) -> None:
    """Not even if they come first or are not valid."""
    odd = line("a", "chr1", 5, 900, "+") + 'chr1\tx\ttranscript\t9\t5\t.\t+\t.\tnote "x";\n'
    genes = read(tmp_path, odd + line("a", "chr1", 20, 90, "+", "gene") + line("b", "chr1", 1, 9, "+"))
    assert places(genes) == {"a": ("chr1", 20, "+")}
    assert (genes.lines_used, genes.lines_unused) == ({"gene": 1}, {"transcript": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line("", "chr1", 5, 9, "+"), ":1: transcript line without gene_id, geneID, gene or Parent attribute. "),
        (
            line("a", "chr1", 5, 9, "+") + line("a", "chr1", 9, 5, "+"),
            ":2: the transcript ends at 5, before its start 9",
        ),
        (line("a", "chr1", 5, 9, "+", "exon") * 2 + line("a", "", 5, 9, "+"), ":3: empty chromosome name"),
        (line("a", "chr1", 5, 9, "+") + line("a", "chr1", 5, 9, "x"), ":2: strand 'x' is not +, - or ."),
        (line("a", "chr1", 5, 9, "+", "CDS"), ": no line is a gene, or a transcript or exon that names its gene"),
        (
            "chr1\tx\texon\t5\t9\t.\t+\t.\tParent=t1\n",
            ": no line is a gene, or a transcript or exon that names its gene",
        ),
        (line("a", "chr1", 5, 9, "."), ": no gene has a strand, so no TSS is known (1 genes, such as 'a')"),
        (line("a\x1b", "chr1", 5, 9, "+"), ":1: control character in the gene id"),
    ],
)
def test_unclear_transcripts_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'genes.any'}{message}")


def test_featurize_says_which_lines_it_used(tmp_path: Path) -> None:
    (tmp_path / "genes.gff3").write_text(ENSEMBL_GFF3)
    (tmp_path / "g.sizes").write_text("1\t250000\n")
    (tmp_path / "E1-A.bed").write_bytes(reads_text().replace(b"chr1", b"1").replace(b"chr2", b"1"))
    options = ("--genes", tmp_path / "genes.gff3", "--genome", tmp_path / "g.sizes", "--out", tmp_path / "out")
    ran = dc("featurize", tmp_path / "E1-A.bed", *options)
    assert ran.code == 0, ran.err
    assert (
        "genes: 4, from lines of type pseudogene 1, ncRNA_gene 1, gene 1, V_gene_segment 1; not used: chromosome 1, "
        "biological_region 1, pseudogenic_transcript 1, exon 1, lnc_RNA 1, mRNA 1, 1 other types 1\n"
    ) in ran.err
    (tmp_path / "genes.gff3").write_text(line("a", "1", 20_000, 21_000, "+") + line("a", "1", 30_000, 31_000, "-"))
    ran = dc("featurize", tmp_path / "E1-A.bed", *options, "--force")
    assert "genes: 1, from lines of type transcript 1; not used: transcript 1\n" in ran.err
    assert (
        "genes whose transcripts lie on several chromosomes or strands, counted in one of these places: 1 (a)"
        in ran.err
    )
