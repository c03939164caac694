"""Take out one guard at a time, and demand that the tests named for it fail.

Usage: mutations.py [NAME...]. Works on a copy of the checkout; there the tests must pass as the code stands, and fail
with each change. A guard whose tests pass without it is not tested: that, or a text that is no longer in the code,
exits 1. Where the kernels themselves are changed they are compiled anew: numba's cache does not notice every change.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "results")


@dataclass(frozen=True)
class Mutation:
    file: str
    guard: str
    instead: str
    tests: tuple[str, ...]
    seconds: int = 400  # a guard against loops without end needs not be waited for as long


READS, FAULTS, NAMES = (
    "tests/engine/streams/test_reads.py",
    "tests/engine/features/test_faults.py",
    "tests/robustness/test_names.py",
)
NUMBERS, RUNS = "tests/robustness/test_numbers.py", "tests/train/run/test_directory.py"

MUTATIONS = {
    "bgzip may lack its end": Mutation(
        "engine/streams/blocks.py",
        "if self._must_end_empty and not self._allow_no_eof:",
        "if False:",
        (f"{READS}::test_bgzip_without_its_end",),
    ),
    "a bgzip block is not read to its check sum": Mutation(
        "engine/streams/blocks.py",
        "if block.first + filled != block.end or reader.read(1):",
        "if block.first + filled != block.end:",
        (f"{READS}::test_the_last_member_of_a_full_block_is_checked",),
    ),
    "a BAM may end anywhere": Mutation(
        "engine/counting/formats.py",
        "if is_last and (last < end or not self._is_known()):",
        "if False:",
        (f"{READS}::test_cut_anywhere_is_an_error[bam]", "tests/engine/counting/test_fuzz.py::test_replay[bam-short]"),
    ),
    "BAM headers claim what they like": Mutation(
        "engine/counting/formats.py",
        "    if value > largest:\n",
        "    if False:\n",
        (f"{FAULTS}::test_what_unpacks_to_gigabytes_stays_small[a BAM header beyond all bounds]",),
    ),
    "lines of any length": Mutation(
        "engine/counting/formats.py",
        "if end - last > kernels.MAX_LINE_BYTES and last == begin:",
        "if False:",
        (f"{READS}::test_lines_too_long", f"{FAULTS}::test_what_unpacks_to_gigabytes_stays_small[a line without end]"),
    ),
    "digits are not checked": Mutation(
        "engine/kernels/__init__.py",
        "for pair in ((_ZERO, 9), _NO_SEPARATOR, (0, 255)))",
        "for pair in ((0, 255), _NO_SEPARATOR, (0, 255)))",
        (
            f"{READS}::test_the_earliest_bad_line_is_named",
            "tests/engine/counting/test_fuzz.py::test_replay[text-notanumber]",
        ),
    ),
    "a carriage return is as good as a field": Mutation(
        "engine/kernels/__init__.py",
        "_NO_SEPARATOR = _RETURN + 1, 250\n",
        "_NO_SEPARATOR = _NEWLINE + 1, 253\n",
        ("tests/engine/kernels/test_shapes.py::test_every_byte_of_lines_alike_is_checked",),
    ),
    "whatever begins with a minus is a minus": Mutation(
        "engine/kernels/__init__.py",
        "return MINUS if (_load8(text, at) == _MINUS_SIGN) & ends else PLUS",
        "return MINUS if _load8(text, at) == _MINUS_SIGN else PLUS",
        ("tests/engine/kernels/test_shapes.py::test_mixed_shapes",),
    ),
    "what was counted otherwise is kept": Mutation(
        "engine/features/resume.py",
        "different = _differences(stored, counted_how(windows, options))",
        "different: list[str] = []",
        ("tests/engine/features/test_resume.py::test_what_was_counted_otherwise_is_not_replaced",),
    ),
    "reads that have changed are taken for the old ones": Mutation(
        "engine/features/resume.py",
        'same = hashes.of(sample.path) == source["sha256"]',
        "same = True",
        ("tests/engine/features/test_resume.py::test_a_change_that_the_size_does_not_show",),
    ),
    "counts that were written are held on to": Mutation(
        "engine/features/featurize.py",
        "replace(tally, counts=tally.counts[:0].copy())",
        "replace(tally, counts=tally.counts[:0])",
        ("tests/engine/features/test_featurize.py::test_counts_are_let_go_of",),
    ),
    "an object at a URL may change while it is read": Mutation(
        "engine/streams/remote.py",
        'raise StorageError("it has changed while it was read; read it again")',
        "return",
        ("tests/engine/streams/test_remote.py::test_an_object_that_changes",),
    ),
    "reads that touch a bin's edge count in it": Mutation(
        "engine/kernels/__init__.py",
        "last = min(end - starts[window], width) - 1",
        "last = min(end - starts[window], width - 1)",
        ("tests/engine/counting/test_parity.py::test_counts_by_hand",),
    ),
    "a record's CIGAR may reach beyond it": Mutation(
        "engine/kernels/__init__.py",
        " or cigar + 4 * operations > at + record_size:",
        ":",
        ("tests/engine/counting/test_fuzz.py::test_replay[bam-long_cigar]",),
    ),
    "less room around a block than kernels look at": Mutation(
        "engine/streams/blocks.py",
        "MARGIN_BYTES = 64 ",
        "MARGIN_BYTES = 48 ",
        ("tests/engine/kernels/test_checked.py::test_parity_with_bounds_checked",),
    ),
    "kernels need a place on disk": Mutation(
        "engine/kernels/__init__.py",
        "    except RuntimeError:  # numba",
        "    except ZeroDivisionError:  # numba",
        ("tests/cli/test_engine.py::test_no_place_for_compiled_code",),
    ),
    "differences are never folded": Mutation(
        "engine/counting/formats.py",
        "if self._reads_since_fold > READS_PER_FOLD:",
        "if False:",
        (f"{NUMBERS}::test_differences_are_folded_before_they_overflow",),
    ),
    "counts wrap at 32 bits": Mutation(
        "engine/counting/formats.py",
        "if count > np.iinfo(np.uint32).max:",
        "if False:",
        (f"{NUMBERS}::test_counts_up_to_32_bits_and_no_further",),
    ),
    "no reads are as good as many": Mutation(
        "engine/counting/count.py",
        "if reads == 0 and not options.allow_empty:",
        "if False:",
        (f"{READS}::test_no_reads",),
    ),
    "chromosomes that the genome lacks are left out": Mutation(
        "engine/counting/count.py",
        'if unknown and options.unknown_chrom == "error":',
        "if False:",
        ("tests/engine/features/test_featurize.py::test_other_names_than_the_genome_has",),
    ),
    "reads far from any gene pass": Mutation(
        "engine/features/featurize.py",
        "LEAST_ON_GENE_CHROMS = 0.01",
        "LEAST_ON_GENE_CHROMS = 0.0",
        ("tests/engine/features/test_featurize.py::test_hardly_a_read_on_the_genes_chromosomes",),
    ),
    "output is written in place": Mutation(
        "src/deepchrome/common/files.py",
        "        temporary = Path(name)\n",
        "        temporary = path\n",
        (f"{FAULTS}::test_featurize_where_no_file_may_grow", "tests/common/test_files.py"),
    ),
    "half-written files stay": Mutation(
        "src/deepchrome/common/files.py",
        "                stale.unlink()\n",
        "                pass\n",
        (f"{FAULTS}::test_featurize_killed_at_random_moments",),
    ),
    "the lock is not taken": Mutation(
        "src/deepchrome/common/files.py",
        "        lock.acquire()\n",
        "        pass\n",
        ("tests/common/test_files.py::test_one_writer_at_a_time",),
    ),
    "columns are not compared with their check sums": Mutation(
        "engine/features/store.py",
        'if wrong := [name for name in found if found[name] != document["crc32"].get(name)]:',
        "if wrong := []:",
        ("tests/engine/features/test_store.py",),
    ),
    "metadata are not compared with their check sum": Mutation(
        "engine/features/store.py",
        'if metadata.get(CHECKSUM_KEY) != b"%d" % zlib.crc32(text):',
        "if False:",
        ("tests/engine/features/test_store.py",),
    ),
    "a run's tables are taken as they are": Mutation(
        "train/run/frames.py",
        "if (stored.schema.metadata or {}).get(_KEY) != found:",
        "if False:",
        (f"{RUNS}::test_tables_of_other_programs_and_damaged_summaries_are_refused",),
    ),
    "a run's config is taken as it is": Mutation(
        "train/run/config.py",
        'if document.pop("sha256", None) != _digest(document):',
        "if False:",
        (f"{RUNS}::test_a_changed_byte_is_an_error_or_changes_nothing[config.json]",),
    ),
    "a model is taken as it is": Mutation(
        "train/run/tensors.py",
        "if digest != _digest(tensors, document):",
        "if False:",
        (f"{RUNS}::test_a_changed_byte_is_an_error_or_changes_nothing[models/E003.safetensors]",),
    ),
    "arrays of any shape make a model": Mutation(
        "train/run/directory.py",
        "        if found != expected:\n",
        "        if False:\n",
        (f"{RUNS}::test_a_model_that_is_not_the_config_s_is_refused",),
    ),
    "any name may be a file's": Mutation(
        "engine/features/samples.py",
        'if not NAME.fullmatch(name) or name in (".", ".."):',
        "if False:",
        (f"{NAMES}::test_what_cannot_name_a_file_names_none",),
    ),
    "control characters in names of genes": Mutation(
        "engine/annotation/genes.py",
        "        if _CONTROL.search(text):\n",
        "        if False:\n",
        (f"{NAMES}::test_control_characters_in_genes_are_refused",),
    ),
    "messages as they come": Mutation(
        "src/deepchrome/errors.py",
        'c if c.isprintable() else c.encode("unicode_escape").decode()',
        "c",
        (f"{NAMES}::test_nothing_on_the_terminal_obeys_a_name",),
    ),
    "NaN and negative RPKM become labels": Mutation(
        "train/datasets/expression.py",
        "    if bool(np.all(np.isfinite(rpkm) & (rpkm >= 0))):\n        return\n",
        "    return\n",
        (f"{NUMBERS}::test_what_is_no_rpkm", "tests/train/datasets/test_expression.py"),
    ),
}


def run(copy: Path, tests: Sequence[str], cache: Path, seconds: int = 1200) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy on the code of the copy."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "NUMBA_CACHE_DIR": str(cache)}
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        words, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=seconds
    )


def verdict(copy: Path, mutation: Mutation) -> str:
    path = copy / mutation.file
    sound = path.read_text(encoding="utf-8")
    if sound.count(mutation.guard) != 1:
        return f"NOT THERE: the guard occurs {sound.count(mutation.guard)} times"
    path.write_text(sound.replace(mutation.guard, mutation.instead), encoding="utf-8")
    cache = copy / "compiled"
    if path.name == "kernels.py":
        cache = Path(tempfile.mkdtemp(dir=copy))
    try:
        ran = run(copy, mutation.tests, cache, mutation.seconds)
    except subprocess.TimeoutExpired:
        return "caught (never ends)"
    finally:
        path.write_text(sound, encoding="utf-8")
    if ran.returncode == 1:
        return "caught"
    return f"SURVIVED (pytest exits {ran.returncode}): {' '.join(ran.stdout.split()[-12:])}"


def main() -> int:
    chosen = {name: MUTATIONS[name] for name in sys.argv[1:] or MUTATIONS}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
        tests = list(dict.fromkeys(test for mutation in chosen.values() for test in mutation.tests))
        sound = run(copy, tests, copy / "compiled")
        if sound.returncode:
            sys.stdout.write(sound.stdout[-3000:] + "the tests fail as the code stands\n")
            return 1
        survived = 0
        for name, mutation in chosen.items():
            became = verdict(copy, mutation)
            survived += not became.startswith("caught")
            sys.stdout.write(f"{name:<48} {mutation.file:<26} {became}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - survived} of {len(chosen)} guards are held by their tests\n")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
