"""Files that are not reads are named, and files of reads never are."""

import gzip
import random
import time
from pathlib import Path

import pytest
from campaign.rows import sized
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import Case, cases, examples
from support.tiny import windows
from support.wrong_files import WRONG_FILES, WrongFile

from deepchrome.engine.counting.count import count_reads
from deepchrome.engine.counting.sniff import HEAD_BYTES, identify, refusal
from deepchrome.errors import BadDataError


def written(wrong: WrongFile, folder: Path) -> Path:
    if wrong.package:
        pytest.importorskip(wrong.package)
    path = folder / "E1-A.bed"
    wrong.write(path)
    return path


@pytest.mark.bedtools
@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG_FILES if wrong.kind != "bigwig"], ids=str)
def test_wrong_file_is_refused(wrong: WrongFile, tmp_path: Path) -> None:
    """Plain and compressed."""
    path = written(wrong, tmp_path)
    gene_windows = windows(tmp_path)
    (tmp_path / "packed").write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, tmp_path / "packed"):
        if file != path and wrong.kind in {"gzip", "bcf", "csi", "tbi", "crai", "tar"}:
            continue  # its content is compressed itself
        with pytest.raises(BadDataError) as caught:
            count_reads(file, gene_windows)
        message = str(caught.value)
        assert message.startswith(f"{file}: this is a")
        assert all(part in message for part in wrong.says), message
        assert caught.value.remedy == wrong.remedy


@pytest.mark.bedtools
@pytest.mark.parametrize("wrong", WRONG_FILES, ids=str)
def test_kind_of_wrong_file(wrong: WrongFile, tmp_path: Path) -> None:
    """Only a guess from columns yields to the user, and only the formats of fragments and signal are ever wanted."""
    content = written(wrong, tmp_path).read_bytes()
    head = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    found = identify(head[:HEAD_BYTES])
    assert found
    assert found.kind == wrong.kind
    assert (refusal(found, fragments=True) is None) == (wrong.kind in {"10x", "bedpe"})
    assert (refusal(found, signal=True) is None) == (wrong.kind == "bigwig")
    by_columns = {"bedgraph", "narrowpeak", "broadpeak", "gappedpeak", "bedmethyl", "10x", "10x-peaks"}
    named = "track line" in wrong.name or wrong.name == "10x fragments"
    assert (refusal(found, insisted=True) is None) == (wrong.kind in by_columns and not named)


CHROMS = st.sampled_from(["chr1", "chrX", "1", "MT", "scaffold_5", "HLA-A*01:01"])
WORDS = st.sampled_from(["N", ".", "read/1", "SRR1:1101:2:3", "peak_7", "0", "17", "-1", "1e5", "NaN", "ACGT", "chr2"])
SCORES = st.sampled_from(["0", "1000", "7.5", "-3", ".", "x", "255"])


@st.composite
def beds(draw: st.DrawFn) -> str:
    """Draw a valid BED file of 3, 5, 6, 9 or 12 columns, with any names, scores and colours."""
    n_columns = draw(st.sampled_from([3, 5, 6, 9, 12]))
    names, scores = draw(st.lists(WORDS, min_size=1, max_size=3)), draw(st.lists(SCORES, min_size=1, max_size=3))
    colour = draw(st.sampled_from(["0", "255", "255,0,0"]))
    dice, rows = random.Random(draw(st.integers(0, 2**32))), []
    for _ in range(draw(st.integers(1, 8))):
        start = dice.randrange(10**6)
        end = start + dice.choice([1, 36, 500])
        thick = dice.choice([(start, end), (start, start), (end, end)])
        blocks = dice.choice([("1", str(end - start), "0"), ("2", "1,1,", f"0,{end - start - 1},")])
        row = [draw(CHROMS), start, end, dice.choice(names), dice.choice(scores), dice.choice("+-."), *thick, colour]
        rows.append("\t".join(map(str, [*row, *blocks][:n_columns])))
    return draw(st.sampled_from(["", "track name=x\n", "# c\n\n", "browser position chr1:1-9\n"])) + "\n".join(rows)


@given(beds(), st.sampled_from(["\n", "\r\n"]), st.booleans())
@examples(sized(300, 1500))
def test_bed_is_never_refused(bed: str, line_end: str, ends_with_newline: bool) -> None:
    text = bed.replace("\n", line_end) + line_end * ends_with_newline
    assert identify(text.encode()) is None


@given(cases())
@examples(sized(100, 300))
def test_odd_bed_is_never_refused(case: Case) -> None:
    """Four columns too: their names are no numbers."""
    assert identify(case.text[:HEAD_BYTES]) is None


NUMBERS = st.one_of(st.integers(-5, 10**6).map(str), st.floats().map(str), st.sampled_from(["1E+05", "+.5", "nan"]))


@given(st.lists(NUMBERS, min_size=1, max_size=30), st.sampled_from([None, 0, -1]))
@examples(sized(100, 500))
def test_four_columns_are_bed_if_one_name_is_no_number(names: list[str], odd: int | None) -> None:
    rows = [f"chr1\t{i}\t{i + 36}\t{name}" for i, name in enumerate(names)]
    if odd is not None:
        rows[odd] += "x"
    found = identify("\n".join(rows).encode())
    assert (found.kind if found else None) == ("bedgraph" if odd is None else None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "# a comment\n",
        "track type=bed name=x\nchr1\t1\t2\n",
        "chr1\t1\t2\t5\t0\t+\tchr1\t9\n",  # more columns after BED6
        "chr1\t5\t90\tr\t0\t+\t5\t90\t0\t7\n",  # BED9 and a number
        "chr1\t5\t90\tr\t0\t+\t3\t0\t1\n",  # BED6 and three tags of an aligner
        "chr1\t5\t90\tr\t0\t+\t5\t90\t0\t1\t85\t0\t3\t0\t1\n",  # BED12 and three tags
        "chr1\t1\t37\tACGTACGTACGTACGTAGGT\t1000\t+\n",  # tagAlign with sequences
        "chr1\t1\t37\tAAACGAAAGAAACGCC-1\tx\n",
        "chr1\t100\t200\tchr1\t300\t+\n",  # named after a chromosome
        "chr1\t1\t37\tNA\nchr1\t2\t40\tNA\n",
        "@x\t1\t37\n",
        "<x\t1\t37\n",
        "chr1\t1\n",
    ],
)
def test_bed_like_text_is_not_taken_for_another_format(text: str) -> None:
    assert identify(text.encode()) is None


def test_a_line_cut_by_the_sample_is_left_out() -> None:
    """A number may be cut into something else, and a name into a number; a whole file is read to its end."""
    line = b"chr1\t100\t200\t1e5\n"
    head = (line * HEAD_BYTES)[: HEAD_BYTES - 15] + b"chr1\t100\t200\t1e"
    assert len(head) == HEAD_BYTES
    found = identify(head + b"5\n" + line)
    assert found
    assert found.kind == "bedgraph"
    assert identify(line + b"chr1\t100\t200\tx") is None


@pytest.mark.realdata
def test_real_reads_are_accepted_in_a_millisecond(shared_data: Path) -> None:
    files = sorted(shared_data.glob("*/*.tagAlign.gz"))
    assert len(files) >= 6
    for path in files:
        with gzip.open(path) as file:
            head = file.read(HEAD_BYTES)
        seconds = []
        for _ in range(20):
            start = time.perf_counter()
            assert identify(head) is None
            seconds.append(time.perf_counter() - start)
        assert min(seconds) < 1e-3
