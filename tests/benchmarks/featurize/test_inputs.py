"""The inputs of dc bench featurize: reads in several formats, and files of bins."""

from pathlib import Path

from oracle import naive
from support.tiny import GENES, PACK, SIZES, counts_of, reads_text, write_genes_and_sizes

from deepchrome.benchmarks.featurize.inputs import link_inputs, write_bgzip, write_bins, write_plain, write_shuffled
from deepchrome.engine.counting.count import count_reads


def test_given_reads_give_the_same_counts_in_every_format(tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    with open(tmp_path / "genes.tsv", "a") as file:
        file.write("edge\tS\tchr1\t4950\t+\nlost\tS\tchrX\t100\t+\n")
    text = reads_text(2000)
    (tmp_path / "reads.bed.gz").write_bytes(PACK["gzip"](text))
    genes, sizes = tmp_path / "genes.tsv", str(tmp_path / "small.sizes")
    inputs = link_inputs(tmp_path / "data", tmp_path / "reads.bed.gz", genes, sizes)
    assert (inputs.reads, inputs.text_bytes, inputs.total_bins) == (2000, len(text), 1200)
    assert write_plain(inputs).read_bytes() == text
    for path in (inputs.reads_file, write_shuffled(inputs), write_bgzip(inputs)):
        assert (count_reads(path, inputs.windows)[:10] == counts_of(text)).all()
    (tmp_path / "reads.bed.gz").write_bytes(PACK["gzip"](reads_text(100)))
    changed = link_inputs(tmp_path / "data", tmp_path / "reads.bed.gz", genes, sizes)
    assert write_plain(changed).read_bytes() == reads_text(100)  # not the text of the old file


def test_files_of_bins_hold_every_bin_on_its_chromosome(tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    with open(tmp_path / "genes.tsv", "a") as file:
        file.write("edge\tS\tchr1\t4950\t+\nlost\tS\tchrX\t100\t+\n")
    (tmp_path / "reads.bed.gz").write_bytes(PACK["gzip"](reads_text(10)))
    genes, sizes = tmp_path / "genes.tsv", str(tmp_path / "small.sizes")
    inputs = link_inputs(tmp_path / "data", tmp_path / "reads.bed.gz", genes, sizes)
    bins = write_bins(inputs, multicov_genes=3, deeptools_genes=1)
    assert (bins.all.n, bins.multicov.n, bins.deeptools.n, bins.one_gene.n) == (1100, 300, 100, 100)
    assert [len(one.path.read_text().splitlines()) for one in (bins.multicov, bins.deeptools)] == [300, 100]
    lines = [line.split("\t") for line in bins.all.path.read_text().splitlines()]
    counted = [*GENES, naive.Gene("chr1", 4950)]
    spans = [(gene.chrom, max(start, 0), end) for gene in counted for start, end in naive.bins_of(gene, 5000, 100)]
    assert [(chrom, int(start), int(end)) for chrom, start, end, *_ in lines] == spans
    assert [int(line[3]) for line in lines] == list(range(1100))
    assert sorted(bins.sorted.read_text().splitlines()) == sorted(bins.all.path.read_text().splitlines())
    assert SIZES.items() <= inputs.windows.genome.sizes.items()
