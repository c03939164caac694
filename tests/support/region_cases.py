"""Hypothesis strategies: random regions, and files of reads and of pairs to count in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from oracle import bedtools

from support.bam import write_bam
from support.strategies import CIGARS, FLAGS, SCORES, Choices, Record, choices, many_choices

NAMES = ("chr1", "chr2", "scaffold_00016", "NW_0123456780_A_contig")
# More than those of the windows: operations at the ends, of length 0, and several gaps.
REGION_CIGARS = (
    *CIGARS,
    "5M5N5D5N5M",
    "3M2N",
    "10D",
    "4N",
    "5M0N5M",
    "3=2N2X1D1=",
    "5H",
    "20M30N10M40N5M2D6M",
)
MULTICOV_LETTERS = {
    "proper_pairs": "-p",
    "include_duplicates": "-D",
    "include_qc_fail": "-F",
    "reciprocal": "-r",
    "split": "-split",
}
FRACTIONS = (None, None, 0.5, 0.1, 1.0, 1 / 3, 0.3, 0.05, 0.9999999)


@dataclass(frozen=True)
class RegionCase:
    """Reference lengths, the records of one or more BAM files, and the text of a BED file of regions."""

    sizes: dict[str, int]
    files: list[list[Record]]
    bed: str


COUNTING = st.fixed_dictionaries(
    {
        "strand": st.sampled_from([None, None, None, "same", "opposite"]),
        "fraction": st.sampled_from(FRACTIONS) | st.floats(1e-6, 1.0),
        "reciprocal": st.booleans(),
        "split": st.booleans(),
    }
)
"""The options of :func:`oracle.regions.count`."""
FILTERING = st.fixed_dictionaries(
    {
        "min_mapq": st.sampled_from([0, 0, 0, 1, 30, 255]),
        "proper_pairs": st.sampled_from([False, False, False, True]),
        "include_duplicates": st.booleans(),
        "include_qc_fail": st.booleans(),
    }
)
"""The options of :func:`oracle.regions.bam_alignments`."""


def multicov_options(filters: dict[str, Any], counting: dict[str, Any]) -> list[str]:
    """Return the same options for ``bedtools multicov``."""
    both = {**filters, **counting}
    letters = [letter for name, letter in MULTICOV_LETTERS.items() if both[name]]
    if both["fraction"] is not None:
        letters += ["-f", repr(both["fraction"])]
    if both["strand"]:
        letters.append("-s" if both["strand"] == "same" else "-S")
    return [*letters, "-q", str(both["min_mapq"])]


@st.composite
def region_cases(
    draw: st.DrawFn, max_files: int = 2, columns: Sequence[int] = (3, 4, 5, 6, 6, 7, 9, 12, 12)
) -> RegionCase:
    """Draw regions and reads at, near and far from each other, and from the ends of chromosomes."""
    choose = draw(choices())
    sizes = {name: choose.pick([choose.between(1, 60), 3000, 70_000]) for name in NAMES[: choose.between(1, 4)]}
    n_columns = choose.pick(columns)
    drawn = draw(st.sampled_from([1, 4, 8]).flatmap(lambda n: st.lists(choices(), min_size=n, max_size=12)))
    # The first is on a chromosome that the files have.
    spans = [draw_span(one, sizes, {**sizes, "chrAbsent": 500} if i else sizes) for i, one in enumerate(drawn)]
    repeats = draw(st.lists(st.sampled_from(spans), max_size=2))
    styles = draw(st.lists(choices(), min_size=len(spans) + 2, max_size=len(spans) + 2))
    bed = "".join(region_line(*span, n_columns, style) for span, style in zip([*spans, *repeats], styles, strict=False))
    files = []
    for _ in range(choose.between(1, max_files)):
        drawn = draw(many_choices(30))
        files.append([draw_record(one, sizes, spans) for one in drawn])
    return RegionCase(sizes, files, bed)


def draw_span(choose: Choices, sizes: dict[str, int], names: dict[str, int]) -> tuple[str, int, int]:
    """Return chromosome, start and end of a region."""
    chrom = choose.pick([*list(sizes) * 4, *names])
    size = names[chrom]
    start = choose.pick([0, 1, choose.below(300), choose.below(300), choose.below(size), size + choose.between(-3, 3)])
    width = choose.pick([0, 1, 2, 5, 10, 36, choose.below(300), choose.below(300), 5000, 100_000])
    return chrom, max(start, 0), max(start, 0) + width


def region_line(chrom: str, start: int, end: int, n_columns: int, choose: Choices) -> str:
    """Return a line of a BED file; one of 12 columns has one to three blocks."""
    fields = [chrom, str(start), str(end), choose.pick(["n", '"a b"', "x'y", "."]), choose.pick(SCORES[:3])]
    fields += [choose.pick("+-."), str(start), str(end), "0,0,0"]
    if n_columns == 12:
        n_blocks = choose.between(1, 3)
        cuts = sorted(choose.between(0, end - start) for _ in range(2 * n_blocks))
        offsets, ends = cuts[::2], cuts[1::2]
        comma = choose.pick(["", ","])
        lengths = [to - begin for begin, to in zip(offsets, ends, strict=True)]
        fields += [str(n_blocks), *(",".join(map(str, numbers)) + comma for numbers in (lengths, offsets))]
    return "\t".join(fields[:n_columns]) + "\n"


def near_start(choose: Choices, sizes: dict[str, int], spans: Sequence[tuple[str, int, int]]) -> tuple[str, int]:
    """Return chromosome and start of a read."""
    chrom, start, end = choose.pick(spans)
    inside = [choose.between(start, end)] * 2
    position = choose.pick([start, end, *inside]) + choose.pick([0, 0, -1, 1, choose.between(-60, 60)])
    if chrom not in sizes:
        chrom, position = choose.pick(list(sizes)), choose.below(300)
    return chrom, max(position, 0)


def draw_record(choose: Choices, sizes: dict[str, int], spans: Sequence[tuple[str, int, int]]) -> Record:
    """Return a record with any flag and any CIGAR."""
    chrom, start = near_start(choose, sizes, spans)
    flag = choose.pick([*FLAGS, *[0, 16, 99, 147] * 5, *[choose.below(4096)] * 4])
    cigar = choose.pick([None, *REGION_CIGARS, *[f"{choose.between(1, 200)}M"] * 20])
    mapq = choose.pick([0, 1, 29, 30, 255])
    if choose.below(40) == 0:
        start = -1
    if choose.below(40) == 0:
        return Record(None, -1, flag, mapq, None, "")
    return Record(chrom, start, flag, mapq, cigar, "")


@st.composite
def pair_cases(draw: st.DrawFn) -> RegionCase:
    """Draw pairs as aligners write them: named, with mates and TLEN; proper or not, on one chromosome or two."""
    choose = draw(choices())
    sizes = {name: choose.pick([3000, 70_000]) for name in NAMES[: choose.between(1, 3)]}
    spans = [draw_span(one, sizes, sizes) for one in draw(st.lists(choices(), min_size=1, max_size=8))]
    bed = "".join("\t".join(map(str, span)) + "\n" for span in spans)
    records = []
    for i, one in enumerate(draw(many_choices(25))):
        records += draw_pair(one, f"p{i}", sizes, spans)
    return RegionCase(sizes, [records], bed)


def draw_pair(choose: Choices, name: str, sizes: dict[str, int], spans: Sequence[tuple[str, int, int]]) -> list[Record]:
    """Return the two records of a pair, the forward mate leftmost, and at times a supplementary record."""
    chrom, start = near_start(choose, sizes, spans)
    lengths = choose.between(1, 100), choose.between(1, 100)
    mate_start = start + choose.between(max(0, lengths[0] - lengths[1]), 300)  # the fragment ends with the mate
    template = mate_start + lengths[1] - start
    proper = choose.below(4) > 0
    others = [other for other in sizes if other != chrom]
    apart = choose.pick(others) if others and not proper and choose.below(2) else None
    if apart:
        template = 0
    extra = choose.pick([0, 0, 0, 1024, 512]) | (2 if proper else 0)
    mapq = choose.pick([0, 30, 60])
    forward_is_first = choose.below(2)
    flags = (1 | 32 | extra | (64 if forward_is_first else 128), 1 | 16 | extra | (128 if forward_is_first else 64))
    forward = Record(chrom, start, flags[0], mapq, f"{lengths[0]}M", "", name, apart or chrom, mate_start, template)
    reverse = Record(apart or chrom, mate_start, flags[1], mapq, f"{lengths[1]}M", "", name, chrom, start, -template)
    return [forward, reverse]


def indexed_bams(case: RegionCase, folder: Path) -> list[Path]:
    """Write the files of a case, sorted and indexed."""
    paths = []
    for i, records in enumerate(case.files):
        write_bam(folder / "drawn.bam", case.sizes, records)
        path = folder / f"{i}.bam"
        try:
            bedtools.sorted_bam((folder / "drawn.bam").read_bytes(), path)
        except RuntimeError:  # samtools cannot index several records before the first base
            write_bam(folder / "drawn.bam", case.sizes, [record for record in records if record.start >= 0])
            bedtools.sorted_bam((folder / "drawn.bam").read_bytes(), path)
        paths.append(path)
    return paths
