"""Make tests/data/goldens: small inputs, and their counts by bedtools.

    PYTHONPATH=tests python tests/data/make_goldens.py

Every count file is the unedited output of ``bedtools multicov``. manifest.json records the program versions, and the
command and sha256 of every file. The engine is not involved.
"""

import gzip
import hashlib
import json
import random
import re
import shlex
import tempfile
from pathlib import Path

from oracle import bedtools
from oracle.naive import Gene, bins_of, outside

GOLDENS = Path(__file__).parent / "goldens"
# Not sorted by name, because reads on unknown chromosomes go to the first chromosome of the file.
SIZES = {"chr2": 20_000, "chr1": 60_000, "chrX": 9_000, "chrM": 571}
# Flank and bin size (bp).
LAYOUTS = {"published": (5000, 100), "single": (50, 1), "coarse": (5000, 5000), "odd": (350, 7)}
FLAG_LAYOUT = (500, 25)
FLAG_OPTIONS = ("", "-D", "-F", "-D -F", "-q 30", "-s", "-S", "-q 30 -D -S")
FLAGS = (0, 0, 0, 16, 16, 4, 20, 99, 147, 73, 256, 272, 512, 528, 1024, 1040, 1536, 2048, 2064)
CIGARS = (
    "36M",
    "36M",
    "36M",
    "10M5N10M",
    "5M100D5M",
    "5S20M3H",
    "3M2I3M",
    "4=1X4=",
    "2M1P2M",
    "10S",
    "5N5M",
    "1500N1M",
    "*",
)


def make_genes(rng: random.Random) -> list[Gene]:
    genes = [Gene(chrom, tss, strand) for chrom in SIZES for tss, strand in ((1, "+"), (SIZES[chrom], "-"))]
    genes += [
        Gene("chr1", 30_000 + step, strand) for step, strand in ((0, "+"), (1, "-"), (2, "."), (150, "+"), (5000, "-"))
    ]
    genes += [Gene("chr1", 5000, "+"), Gene("chr1", 5001, "+"), Gene("chr1", 55_000, "-"), Gene("chrY", 100, "+")]
    genes += [Gene("chr1", rng.randrange(1, 60_001), rng.choice("+-")) for _ in range(10)]
    return genes + [Gene("chr2", rng.randrange(1, 20_001), rng.choice("+-.")) for _ in range(5)]


def positions(rng: random.Random, genes: list[Gene], n: int) -> list[tuple[str, int, int]]:
    """Draw (chrom, start, length): half at random, half near bin edges, and a few at the ends of chromosomes."""
    edges = [(g.chrom, edge) for g in genes if g.chrom in SIZES for pair in bins_of(g, 5000, 100) for edge in pair]
    drawn = [("chrM", 535, 37), ("chrX", 0, 0), ("chr2", 20_000, 0), ("chr1", 59_990, 36), ("chr1", 0, 60_000)]
    for _ in range(n):
        chrom = rng.choice(["chr1"] * 6 + ["chr2"] * 2 + ["chrX", "chrM"])
        start = rng.randrange(SIZES[chrom])
        if rng.random() < 0.5:
            chrom, start = rng.choice(edges)
            start += rng.randint(-37, 2)
        drawn.append((chrom, max(start, 1), rng.choice([36] * 12 + [0, 1, 2, 100, 101, 700, 5000])))
    return drawn


def bed(rng: random.Random, reads: list[tuple[str, int, int]]) -> bytes:
    lines = [
        f"{chrom}\t{s}\t{s + bp}\tr{i}\t{rng.randrange(1000)}\t{rng.choice('+-')}\n"
        for i, (chrom, s, bp) in enumerate(reads)
    ]
    return "".join(lines).encode()


def sam(rng: random.Random, reads: list[tuple[str, int, int]]) -> bytes:
    lines = ["@HD\tVN:1.6\tSO:unsorted\n", *(f"@SQ\tSN:{name}\tLN:{size}\n" for name, size in sorted(SIZES.items()))]
    for i, (chrom, start, _) in enumerate(reads):
        cigar, flag = rng.choice(CIGARS), rng.choice(FLAGS)
        bases = sum(int(n) for n, kind in re.findall(r"(\d+)([A-Z=])", cigar) if kind in "MIS=X")
        sequence = "".join(rng.choices("ACGT", k=bases)) or "*"
        flag |= 4 if cigar == "*" else 0
        lines.append(
            f"r{i}\t{flag}\t{chrom}\t{start + 1}\t{rng.choice([0, 29, 30, 31, 255])}\t{cigar}\t*\t0\t0\t{sequence}\t*\n"
        )
    lines.append("nowhere\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\t*\n")
    return "".join(lines).encode()


def bins(genes: list[Gene], flank: int, bin_size: int) -> bytes:
    """Return the bins on their chromosome as BED6 for multicov, with gene and bin as name and score."""
    lines = []
    for g, gene in enumerate(genes):
        for b, (start, end) in enumerate(bins_of(gene, flank, bin_size)):
            if not outside(start, end, SIZES.get(gene.chrom, end)):
                lines.append(f"{gene.chrom}\t{max(start, 0)}\t{end}\tg{g}\t{b}\t{gene.strand}\n")
    return "".join(lines).encode()


class Goldens:
    """Write files into the folder, and record for the manifest how each was made."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, str]] = {}

    def write(self, name: str, data: bytes, command: str) -> None:
        data = gzip.compress(data, mtime=0) if name.endswith(".gz") else data
        (GOLDENS / name).write_bytes(data)
        self.files[name] = {"command": command, "sha256": hashlib.sha256(data).hexdigest()}


def main() -> None:
    rng = random.Random(20160829)
    goldens, made, cases = Goldens(), "make_goldens.py", []
    GOLDENS.mkdir(exist_ok=True)
    genes = make_genes(rng)
    table = "".join(f"g{i}\tG{i}\t{g.chrom}\t{g.tss}\t{g.strand}\n" for i, g in enumerate(genes))
    goldens.write("genes.tsv", ("gene_id\tsymbol\tchrom\ttss\tstrand\n" + table).encode(), made)
    goldens.write("chrom.sizes", "".join(f"{name}\t{size}\n" for name, size in SIZES.items()).encode(), made)
    reads = bed(rng, positions(rng, genes, 3000))
    strays = reads + b"".join(b"chrUn\t%d\t%d\tu\t0\t-\n" % (at, at + 36) for at in range(0, 25_000, 150))
    goldens.write("reads.bed.gz", reads, made)
    goldens.write("strays.bed.gz", strays, made)
    flags_sam = sam(rng, positions(rng, genes, 2000))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stem in ("reads", "strays"):
            (folder / f"{stem}.bed").write_bytes(gzip.decompress((GOLDENS / f"{stem}.bed.gz").read_bytes()))
            command = f"bedtools bedtobam -i {stem}.bed -g chrom.sizes"
            made_bam = bedtools.run("bedtools", "bedtobam", "-i", folder / f"{stem}.bed", "-g", GOLDENS / "chrom.sizes")
            if stem == "reads":
                goldens.write("reads.bam", made_bam, command)
            bedtools.sorted_bam(made_bam, folder / f"{stem}.sorted.bam")
        goldens.write(
            "flags.bam",
            bedtools.run("samtools", "view", "-b", "-", stdin=flags_sam),
            "samtools view -b (SAM of make_goldens.py)",
        )
        bedtools.sorted_bam((GOLDENS / "flags.bam").read_bytes(), folder / "flags.sorted.bam")

        runs = [(stem, layout, *LAYOUTS[layout], "") for stem in ("reads", "strays") for layout in LAYOUTS]
        runs += [("flags", f"{i}", *FLAG_LAYOUT, options) for i, options in enumerate(FLAG_OPTIONS)]
        for stem, label, flank, bin_size, options in runs:
            (folder / "bins.bed").write_bytes(bins(genes, flank, bin_size))
            arguments = [*shlex.split(options), "-bams", f"{stem}.sorted.bam", "-bed", "bins.bed"]
            full_paths = [str(folder / word) if word.endswith((".bam", ".bed")) else word for word in arguments]
            counts = f"{stem}.{label}.tsv.gz"
            before = (
                "samtools sort | samtools index | "
                if stem == "flags"
                else "bedtools bedtobam | samtools sort | samtools index | "
            )
            goldens.write(
                counts,
                bedtools.run("bedtools", "multicov", *full_paths),
                before + "bedtools multicov " + " ".join(arguments),
            )
            cases.append({"reads": stem, "flank": flank, "bin_size": bin_size, "options": options, "counts": counts})

    versions = {
        program: bedtools.run(program, "--version").decode(errors="replace").splitlines()[0]
        for program in ("bedtools", "samtools")
    }
    manifest = {"versions": versions, "cases": cases, "files": goldens.files}
    (GOLDENS / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
