"""Export features to the formats of other programs, apart from DeepChrome's text format."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from deepchrome.common.names import check_names
from deepchrome.engine.features.exports.annotated import write_h5ad, write_zarr
from deepchrome.engine.features.exports.bedgraph import write_bedgraph
from deepchrome.engine.features.exports.bigwig import write_bigwig
from deepchrome.engine.features.exports.choose import check_free, choose_epigenomes, make_directory
from deepchrome.engine.features.exports.npz import write_npz
from deepchrome.engine.features.store import Features, read_features, read_header
from deepchrome.errors import ParameterError, UsageError

# Formats with a file per epigenome, and formats with a file per mark.
PER_EPIGENOME: Final[Mapping[str, Callable[[Features, Path], None]]] = {
    "h5ad": write_h5ad,
    "zarr": write_zarr,
    "npz": write_npz,
}
PER_MARK: Final[Mapping[str, Callable[[Features, str, Path], None]]] = {
    "bigwig": write_bigwig,
    "bedgraph": write_bedgraph,
}
_SUFFIXES: Final = {"bigwig": ".bw", "bedgraph": ".bedGraph"}


def export_features(
    features: Path,
    out: Path,
    file_format: str,
    *,
    epigenomes: Sequence[str] | None = None,
    compress: bool = False,
    force: bool = False,
    on_write: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Write features in a format of another program.

    Parameters
    ----------
    features
        A directory that ``dc featurize`` wrote, or one file from it.
    out
        The directory to write into: ``<epigenome>.h5ad``, ``.zarr`` or ``.npz``; or ``<epigenome>-<mark>.bw`` or
        ``.bedGraph``. A path with the suffix of the format is the output itself, which must be a single one.
    file_format
        ``h5ad``, ``zarr``, ``npz``, ``bigwig`` or ``bedgraph``.
    epigenomes
        The epigenomes to export. By default all in ``features``.
    compress
        Compress bedGraph files with gzip; they are named ``.bedGraph.gz``. The other formats are always compressed.
    force
        Replace existing files.
    on_write
        Called with each output when it is complete.

    Returns
    -------
    list of Path
        The outputs.

    Raises
    ------
    ParameterError
        ``file_format`` is unknown, or ``compress`` does not apply to it.
    UsageError
        An output exists and ``force`` is False, or there are several outputs for one path.
    NotInstalledError
        A package that writes the format is not installed.
    MissingInputError, StorageError
        A file does not exist, cannot be read or cannot be written.
    BadDataError
        ``features`` lacks an epigenome, a file is damaged, or a name is not safe as a file name.
    """
    if file_format not in (*PER_EPIGENOME, *PER_MARK):
        raise ParameterError("file_format", f"must be one of {', '.join((*PER_EPIGENOME, *PER_MARK))}")
    if compress and file_format != "bedgraph":
        raise ParameterError("compress", "applies to bedgraph only")
    paths = choose_epigenomes(features, epigenomes)
    suffix = _SUFFIXES.get(file_format, f".{file_format}") + (".gz" if compress else "")
    outputs: dict[tuple[str, str | None], Path] = {}
    for name, path in paths.items():
        if file_format in PER_EPIGENOME:
            outputs[name, None] = out / f"{name}{suffix}"
            continue
        marks = read_header(path).marks
        check_names(marks, "a mark", str(path))
        outputs |= {(name, mark): out / f"{name}-{mark}{suffix}" for mark in marks}
    if _is_output(out, file_format):
        if len(outputs) != 1:
            raise UsageError(f"{out}: {len(outputs)} files cannot be written to one path. Give a directory")
        outputs = dict.fromkeys(outputs, out)
    check_free(outputs.values(), force)
    for path in outputs.values():
        make_directory(path.parent)
    for (name, mark), path in outputs.items():
        if mark is None:
            PER_EPIGENOME[file_format](read_features(paths[name]), path)
        else:
            PER_MARK[file_format](read_features(paths[name], [mark]), mark, path)
        if on_write:
            on_write(path)
    return [*outputs.values()]


def _is_output(out: Path, file_format: str) -> bool:
    """Return whether ``out`` names the output itself, and not a directory for outputs."""
    name = out.name.lower()
    if file_format == "bigwig":
        return name.endswith((".bw", ".bigwig"))
    return name.endswith((f".{file_format}", f".{file_format}.gz") if file_format == "bedgraph" else f".{file_format}")
