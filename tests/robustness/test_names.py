"""Hostile names in the input: kept unchanged as data, refused as file names, and harmless in reports."""

import csv
import html.parser
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from campaign.rows import sized
from support.epigenomes import write_random_features
from support.tiny import PACK, dc, featurize, write_genes_and_sizes

from deepchrome.engine.features.store import read_features, write_features
from deepchrome.errors import BadDataError

# Gene ids and symbols that tables can store. All of them must be kept unchanged.
UNUSUAL = (
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    "C:\\Windows",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "'; DROP TABLE genes; --",
    "x" * 10_000,
    "ген-遺伝子",
    "a b",
    "%s{}%n",
    "NaN",
    "null",
    "1e5",
    "$(reboot)",
    "'",
)
# Control characters: terminal commands, and line or field separators.
CONTROL = ("a\x1b[2Jb", "a\x07", "a\x9bb", "a\x7f", "a\x0bb", "a\x00b")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_genes_and_sizes(tmp_path)
    return tmp_path


def rename(table: Path, names: tuple[str, ...], column: int = 0) -> None:
    """Replace the first names of a column by ``names``."""
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    for line, name in zip(lines[1:], names, strict=False):
        line[column] = name
    table.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


@pytest.mark.campaign("names")
def test_unusual_names_are_stored_unchanged(folder: Path) -> None:
    """As gene ids, symbols and chromosomes, one of them with 10,000 characters."""
    for start in range(0, len(UNUSUAL), 10):
        names = UNUSUAL[start : start + 10]
        write_genes_and_sizes(folder)
        rename(folder / "genes.tsv", names)
        rename(folder / "genes.tsv", names[::-1], 1)
        sizes = "".join(f"{name}\t250000\n" for name in names)
        (folder / "small.sizes").write_text(sizes, encoding="utf-8")
        rename(folder / "genes.tsv", names, 2)
        text = "".join(f"{name}\t{20_000 * (i + 1)}\t{20_000 * (i + 1) + i + 1}\n" for i, name in enumerate(names))
        (folder / "E1-A.bed").write_bytes(PACK["gzip"](text.encode()))
        ran = featurize(folder, folder, "--force")
        assert ran.code == 0, ran.err
        features = read_features(folder / "out" / "E1.parquet")
        assert features.genes.gene_id[: len(names)] == names
        assert features.genes.symbol[: len(names)] == names[::-1]
        assert features.genes.chrom[: len(names)] == names
        assert features.counts[: len(names), 50, 0].tolist() == [1] * len(names)
        rows = list(csv.reader(io.StringIO((folder / "out" / "summary.tsv").read_text()), delimiter="\t"))
        assert [len(row) for row in rows] == [len(rows[0])] * 2


@pytest.mark.campaign("names")
@pytest.mark.parametrize("name", CONTROL)
@pytest.mark.parametrize("column", [0, 1, 2])
def test_control_characters_in_genes_are_refused(name: str, column: int, folder: Path) -> None:
    (folder / "E1-A.bed").write_bytes(b"chr1\t1\t2\n")
    rename(folder / "genes.tsv", (name,), column)
    ran = featurize(folder, folder)
    assert ran.code == 65
    assert "genes.tsv:2" in ran.err or "genes.tsv: " in ran.err
    assert ran.err.removesuffix("\n").isprintable()


@pytest.mark.campaign("names", "messages")
@pytest.mark.parametrize("name", CONTROL)
def test_control_characters_are_escaped_on_the_terminal(name: str, folder: Path) -> None:
    """In reads, file names, expression tables, sample tables and genomes."""
    (folder / "E1-A.bed").write_text(f"{name}\t1\t2\n{name}\tx\t2\n")
    messages = [featurize(folder, folder).err]
    (folder / "E1-A.bed").write_text(f"{name}\t1\t2\n")
    messages += [featurize(folder, folder).err, (folder / "out" / "summary.tsv").read_text().replace("\t", "")]
    if "\0" not in name:
        unusual = folder / f"E1-{name}\n.bed"
        unusual.write_text("x\n")
        messages.append(featurize(folder, unusual, "--name", "E1-B").err)
        messages.append(featurize(folder, folder / f"{name}\nabsent-A.bed").err)
        messages.append(featurize(folder, folder, "--marks", name).err)
    (folder / "samples.tsv").write_text(f"epigenome\tmark\tpath\n{name}\tA\tE1-A.bed\n")
    messages.append(featurize(folder, "--samples", folder / "samples.tsv").err)
    (folder / "expression.tsv").write_text(f"gene_id\tE1\n{name}\tx\n")
    messages.append(dc("labels", "--expression", folder / "expression.tsv").err)
    (folder / "expression.tsv").write_text(f"gene_id\t{name}\ng\t1\n")
    messages.append(dc("labels", "--expression", folder / "expression.tsv").err)
    (folder / "small.sizes").write_text(f"{name}\t{name}\n")
    messages.append(featurize(folder, folder).err)
    for text in messages:
        assert text
        assert all(line.isprintable() for line in text.split("\n")), text
        assert "Traceback" not in text


@pytest.mark.campaign("names")
@pytest.mark.parametrize("name", ["../E1", "..", "", "E 1", "E1/E2", "é", "x" * 65, "<b>", *CONTROL])
def test_unsafe_file_names_are_refused(name: str, folder: Path) -> None:
    """As epigenome or mark, from any input. Nothing is written anywhere."""
    (folder / "reads.bed").write_bytes(b"chr1\t1\t2\n")
    before = set(folder.rglob("*")) | {folder / "samples.tsv", folder / "expression.tsv"}
    for row in (f"{name}\tA", f"E1\t{name}"):
        (folder / "samples.tsv").write_text(f"epigenome\tmark\tpath\n{row}\treads.bed\n", encoding="utf-8")
        assert featurize(folder, "--samples", folder / "samples.tsv").code == 65
    if name:
        assert featurize(folder, folder / "reads.bed", "--name", f"{name}-A").code in (2, 65)
    (folder / "expression.tsv").write_text(f"gene_id\t{name or '/'}\ng\t1\n", encoding="utf-8")
    assert dc("labels", "--expression", folder / "expression.tsv", "--out", folder / "labels.tsv").code == 65
    assert set(folder.rglob("*")) == before


class Elements(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: set[str] = set()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.campaign("names")
def test_unusual_ids_in_training_and_report(tmp_path: Path) -> None:
    """In labels, models, scores, the text export and the HTML report."""
    features, expression = write_random_features(tmp_path / "features", ("E001",))
    plain = tmp_path / "plain"
    command = ("--expression", expression, "--epochs", 2, "--device", "cpu", "--out")
    assert dc("train", features, *command, plain).code == 0
    names = tuple(name for name in UNUSUAL if name not in ("", ".."))
    read = read_features(features / "E001.parquet")
    rename(expression, names)
    ids = (*names, *read.genes.gene_id[len(names) :])
    counts = {mark: np.ascontiguousarray(read.counts[:, :, i]) for i, mark in enumerate(read.marks)}
    metadata = {key: read.metadata[key] for key in ("bin_size", "flank", "n_bins", "sources")}
    write_features(features / "E001.parquet", replace(read.genes, gene_id=ids), counts, metadata)

    run = tmp_path / "run"
    assert dc("train", features, *command, run).code == 0
    for suffix in ("tsv", "parquet"):
        out = tmp_path / f"scores.{suffix}"
        assert dc("predict", run, features, "--out", out).code == 0
        table = pl.read_parquet(out) if suffix == "parquet" else pl.read_csv(out, separator="\t", quote_char=None)
        assert tuple(table["gene_id"]) == ids
    labels = tmp_path / "labels.tsv"
    assert dc("labels", "--expression", expression, "--out", labels).code == 0
    assert tuple(line.split("\t")[0] for line in labels.read_text().splitlines()[1:]) == ids
    exported = dc("export", features, "--labels", labels, "--out", tmp_path / "csv")
    if exported.code == 0:
        lines = "".join((tmp_path / "csv" / f"{part}.csv").read_text() for part in ("train", "valid", "test"))
        assert {line.split(",")[0] for line in lines.splitlines()} == set(ids)
    else:
        assert "which the text format cannot hold" in exported.err
        assert not list((tmp_path / "csv").glob("*.csv"))
    few = ("--starts", 1, "--steps", 3, "--out")
    for which, out in (("plain", plain), ("named", run)):
        made = dc("visualize", out, "--maps-only", *few, tmp_path / which / "maps")
        assert made.code == 0, made.err
    made = dc("visualize", run, *few, tmp_path / "named" / "report", "--gene", UNUSUAL[4])
    assert made.code == 0, made.err
    pages = [tmp_path / name / "report.html" for name in ("plain/maps", "named/maps", "named/report")]
    elements = [Elements(page.read_text(encoding="utf-8")) for page in pages]
    assert elements[0].tags == elements[1].tags == elements[2].tags
    assert not {name for name in elements[2].attributes if name.startswith("on")}


@pytest.mark.campaign("names")
def test_deeply_nested_metadata_is_refused(tmp_path: Path) -> None:
    """JSON nested so deeply would exhaust the stack of a parser."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    deep = b'{"format_version":' + b"[" * sized(100_000, 1_000_000)
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({b"deepchrome": deep}), tmp_path / "E1.parquet")
    with pytest.raises(BadDataError, match="metadata is damaged"):
        read_features(tmp_path / "E1.parquet")
    features, expression = write_random_features(tmp_path / "features", ("E001",))
    given = (features, "--expression", expression, "--epochs", 1, "--device", "cpu", "--out", tmp_path / "run")
    assert dc("train", *given).code == 0
    (tmp_path / "run" / "config.json").write_bytes(deep)
    ran = dc("evaluate", tmp_path / "run")
    assert (ran.code, "config.json: not JSON" in ran.err) == (65, True)
    assert json.dumps(ran.out) == '""'
