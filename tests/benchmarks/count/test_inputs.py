"""The sets of regions of dc bench count."""

from pathlib import Path

import numpy as np
from oracle import naive
from support.tiny import GENES, PACK, SIZES, reads_text, write_genes_and_sizes

from deepchrome.benchmarks.count.inputs import SetName, write_regions
from deepchrome.benchmarks.featurize.inputs import link_inputs


def rows_of(path: Path) -> list[tuple[str, int, int, int]]:
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [(chrom, int(start), int(end), int(index)) for chrom, start, end, index in lines]


def test_regions_are_sorted_and_inside_their_chromosomes(tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    with open(tmp_path / "genes.tsv", "a") as file:
        file.write("edge\tS\tchr1\t4950\t+\nend\tS\tchr2\t239000\t+\nlost\tS\tchrX\t100\t+\n")
    (tmp_path / "reads.bed.gz").write_bytes(PACK["gzip"](reads_text(1000)))
    inputs = link_inputs(
        tmp_path / "data", tmp_path / "reads.bed.gz", tmp_path / "genes.tsv", str(tmp_path / "small.sizes")
    )

    def rows(name: SetName) -> list[tuple[str, int, int, int]]:
        regions = write_regions(inputs, name, peaks=50, bin_bp=7000, sample=5, small_sample=3)
        found = rows_of(regions.all.path)
        assert found == sorted(found)
        assert [row[3] for row in found] == regions.index.tolist()
        assert regions.all.n == len(found)
        assert [one.n for one in (regions.sample, regions.small_sample, regions.two)] == [5, 3, 2]
        assert set(rows_of(regions.sample.path)) <= set(found)
        saf = [line.split("\t")[:4] for line in regions.saf.read_text().splitlines()[1:]]
        assert saf == [[str(index), chrom, str(start + 1), str(end)] for chrom, start, end, index in found]
        assert all(0 <= start < end <= SIZES[chrom] for chrom, start, end, _ in found)
        return found

    genes = [*GENES, naive.Gene("chr1", 4950), naive.Gene("chr2", 239_000)]
    bins = {}
    for i, gene in enumerate(genes):
        for j, (start, end) in enumerate(naive.bins_of(gene, 5000, 100)):
            if end > 0 and start < SIZES[gene.chrom]:
                bins[100 * i + j] = (gene.chrom, max(start, 0), min(end, SIZES[gene.chrom]))
    assert {index: (chrom, start, end) for chrom, start, end, index in rows("tss-bins")} == bins
    windows = {index: (chrom, start, end) for chrom, start, end, index in rows("windows")}
    for i, gene in enumerate(genes):
        spans = [bins[k] for k in range(100 * i, 100 * i + 100) if k in bins]
        assert windows[i] == (gene.chrom, min(span[1] for span in spans), max(span[2] for span in spans))
    assert len(windows) == len(genes)
    tiles = [(chrom, start, min(start + 7000, size)) for chrom, size in SIZES.items() for start in range(0, size, 7000)]
    assert [row[:3] for row in rows("bins")] == tiles
    widths = np.array([end - start for _, start, end, _ in rows("peaks")])
    assert len(widths) == 50
    assert 150 <= np.median(widths) <= 2000
    assert widths.max() <= 2000
