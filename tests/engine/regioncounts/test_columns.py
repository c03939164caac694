"""Names of the columns of files."""

import os

import pytest

from deepchrome.engine.regioncounts.columns import column_names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/E003-H3K4me3.tagAlign.gz", "E003-H3K4me3"),
        ("liver.rep1.bam", "liver.rep1"),
        ("liver.BAM", "liver"),
        ("atac_fragments.tsv.gz", "atac_fragments"),
        ("x.fragments.tsv.gz", "x"),
        ("pairs.bedpe", "pairs"),
        ("signal.bigWig", "signal"),
        ("reads", "reads"),
        (".bam", ".bam"),
        ("v1.2", "v1.2"),
        ("-", "stdin"),
        ("https://user:secret@host/dir/my%20reads.cram?signature=x", "my reads"),
        ("tab\there.bam", "tab_here"),
        ("line\nend\x1b[31m.bam", "line_end_[31m"),
        (os.fsdecode(b"caf\xe9.bam"), "caf\\udce9"),
        ("café.bam", "café"),
    ],
)
def test_name_of_a_file(path: str, name: str) -> None:
    assert column_names([path]) == (name,)


def test_names_are_distinct() -> None:
    paths = ["a/x.bam", "b/x.bam", "x.2.bam", "c/x.cram", "start.bam"]
    assert column_names(paths, ["chrom", "start", "end"]) == ("x", "x.2", "x.2.2", "x.3", "start.2")
