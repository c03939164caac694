"""Guards: lines of the code that prevent a wrong result, and the tests that must fail without each of them.

A guard is marked in the source by a comment at the end of its line, ``# guard: NAME``. :data:`GUARDS` says how to
disable the line. ``mutations.py`` disables one guard at a time and runs its tests.
"""

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("engine", "train", "benchmarks", "src/deepchrome")
_MARKER = re.compile(r"^(?P<indent> *)(?P<code>.*?)(?P<comment> *#.*?\bguard: (?P<name>[a-z0-9-]+))$")

NEVER = "if False:"
ALWAYS = "if True:"
NOTHING = "pass"


@dataclass(frozen=True)
class Guard:
    """A guard and its tests.

    Attributes
    ----------
    name
        The name in the marker.
    change
        How to disable the guard: code that replaces the whole line, or a pair (old, new) of texts, where ``old`` occurs
        once in the line.
    tests
        Tests that must fail without the guard, as for pytest.
    seconds
        The time limit. Tests that take longer count as failed.
    """

    name: str
    change: str | tuple[str, str]
    tests: tuple[str, ...]
    seconds: int = 400

    def disable_in(self, text: str) -> str:
        """Return the text of a source file with this guard disabled."""
        lines = text.splitlines()
        (number,) = (i for i, line in enumerate(lines) if marker_name(line) == self.name)
        match = _MARKER.match(lines[number])
        assert match
        if isinstance(self.change, str):
            code = self.change
        else:
            old, new = self.change
            assert match["code"].count(old) == 1, f"{self.name}: {old!r} must occur once in {match['code']!r}"
            code = match["code"].replace(old, new)
        lines[number] = match["indent"] + code + match["comment"]
        return "\n".join(lines) + "\n"


def marker_name(line: str) -> str | None:
    """Return the name of the guard that a line of source is marked as, or None."""
    match = _MARKER.match(line)
    return match["name"] if match else None


def find_markers(root: Path = ROOT) -> dict[str, list[Path]]:
    """Return the files in which each guard is marked, relative to ``root``; a file once per marker."""
    files = defaultdict(list)
    for source in SOURCES:
        for folder, _, names in os.walk(root / source):
            for path in (Path(folder, name) for name in sorted(names) if name.endswith(".py")):
                for line in path.read_text(encoding="utf-8").splitlines():
                    if name := marker_name(line):
                        files[name].append(path.relative_to(root))
    return dict(files)


def guard_file(guard: Guard, root: Path = ROOT) -> Path:
    """Return the file in which a guard is marked, relative to ``root``; it must be marked exactly once."""
    files = find_markers(root).get(guard.name, [])
    assert len(files) == 1, f"guard {guard.name} is marked {len(files)} times"
    return files[0]


_ENGINE = "tests/engine"
_READS = f"{_ENGINE}/streams/test_reads.py"
_CRAM = f"{_ENGINE}/streams/test_cram.py"
_FAULTS = f"{_ENGINE}/features/test_faults.py"
_FEATURIZE = f"{_ENGINE}/features/test_featurize.py"
_RESUME = f"{_ENGINE}/features/test_resume.py"
_POOLING = f"{_ENGINE}/features/test_pooling.py"
_STORE = f"{_ENGINE}/features/test_store.py"
_FUZZ = f"{_ENGINE}/counting/test_fuzz.py"
_SIGNAL = f"{_ENGINE}/counting/test_signal.py"
_STORED_SIGNAL = f"{_ENGINE}/features/test_signal.py"
_BAM = f"{_ENGINE}/counting/test_damaged_bam.py"
_ODD = f"{_ENGINE}/annotation/test_odd_files.py"
_ALIASES = f"{_ENGINE}/annotation/test_aliases.py"
_REGIONS = f"{_ENGINE}/annotation/test_regions.py"
_SHAPES = f"{_ENGINE}/kernels/test_shapes.py"
_CACHE = f"{_ENGINE}/kernels/test_cache"
_FILES = "tests/common/test_files.py"
_NAMES = "tests/robustness/test_names.py"
_NUMBERS = "tests/robustness/test_numbers.py"
_EDGES = "tests/cli/test_edges.py"
_OUTPUTS = "tests/cli/test_strangers.py"
_LIMITS = "tests/common/test_limits.py"
_DAMAGE = "tests/train/run/test_damage.py"
_PROVENANCE = "tests/train/run/test_provenance.py"
_SAVED = "tests/train/run/test_saved_models.py"
_STRANGERS = "tests/train/run/test_strangers.py"
_COUNTING = f"{_ENGINE}/features/test_provenance.py"
_VERIFY = f"{_ENGINE}/features/test_verify.py"
_REGION_COUNTS = f"{_ENGINE}/regioncounts"
_BUILDS = f"{_ENGINE}/features/test_build_check.py"
_NAMES_OF_CHROMOSOMES = f"{_ENGINE}/features/test_chrom_alias.py"
_OPTIONS = f"{_ENGINE}/features/test_read_options.py"
_CHECKS = "tests/train/scoring/test_checks.py"
_REFERENCE = "tests/train/scoring/test_reference.py"
_YARDSTICKS = "tests/train/scoring/test_yardsticks.py"

GUARDS = (
    # Kernels.
    Guard(
        "digits",
        ("(ZERO, 9)", "(0, 255)"),
        (f"{_READS}::test_first_bad_line_is_named", f"{_FUZZ}::test_replay[text-notanumber]"),
    ),
    Guard(
        "carriage-return-in-field",
        ("(RETURN + 1, 250)", "(NEWLINE + 1, 253)"),
        (f"{_SHAPES}::test_every_byte_of_lines_alike_is_checked",),
    ),
    Guard("minus-alone", ("at if is_whole_field else at - 1", "at"), (f"{_SHAPES}::test_mixed_shapes",)),
    Guard("shifted-off", NEVER, (f"{_REGION_COUNTS}/test_parity.py::test_text_and_steps_equal_naive_counter",)),
    Guard(
        "fields-in-record",
        ("data_end > record_end", "False"),
        (f"{_FUZZ}::test_replay[bam-long_cigar]", f"{_BAM}::test_what_samtools_refuses_is_refused"),
    ),
    Guard("bam-name-length", ("name_length < 1", "False"), (f"{_BAM}::test_what_samtools_refuses_is_refused",)),
    Guard(
        "bam-mate",
        ("mate_reference >= n_references", "False"),
        (f"{_BAM}::test_what_samtools_refuses_is_refused",),
    ),
    Guard("cigar-and-bases", NEVER, (f"{_BAM}::test_what_samtools_refuses_is_refused",)),
    Guard(
        "long-cigar",
        NEVER,
        (f"{_ENGINE}/counting/test_parity_bam.py::test_blocks_of_more_than_65535_operations_are_refused",),
    ),
    Guard(
        "no-cache-directory",
        ("Exception", "ZeroDivisionError"),
        ("tests/cli/test_engine.py::test_no_place_for_compiled_code",),
    ),
    # Streams.
    Guard("block-margin", ("64", "48"), (f"{_ENGINE}/kernels/test_checked.py::test_parity_with_bounds_checked",)),
    Guard("bgzip-end-of-file", NEVER, (f"{_READS}::test_bgzip_without_end_of_file_block",)),
    Guard(
        "bgzip-member-checksum",
        (" or reader.read(1)", ""),
        (f"{_READS}::test_last_member_of_a_full_block_is_checked",),
    ),
    Guard("cram-end", NEVER, (f"{_CRAM}::test_file_cut_at_any_container_is_an_error",)),
    Guard("cram-checksum", NEVER, (f"{_CRAM}::test_every_flipped_bit_is_found_if_there_are_checksums",)),
    Guard("cram-records", NEVER, (f"{_CRAM}::test_missing_records_are_an_error",)),
    Guard("cram-decoder", NEVER, (f"{_CRAM}::test_decoder_that_dies_is_an_error",)),
    Guard("changed-object", "return", (f"{_ENGINE}/streams/test_remote.py::test_changed_object_is_detected",)),
    # Counting.
    Guard("bam-end", NEVER, (f"{_READS}::test_truncated_file_is_an_error[bam]", f"{_FUZZ}::test_replay[bam-short]")),
    Guard(
        "bam-header-size",
        NEVER,
        (f"{_FAULTS}::test_decompression_bombs_need_little_memory[a BAM header beyond all bounds]",),
    ),
    Guard(
        "line-length",
        NEVER,
        (
            f"{_READS}::test_line_length_is_limited",
            f"{_FAULTS}::test_decompression_bombs_need_little_memory[a line without end]",
        ),
    ),
    Guard("fold-differences", NEVER, (f"{_NUMBERS}::test_differences_are_folded_before_they_overflow",)),
    Guard("count-overflow", NEVER, (f"{_NUMBERS}::test_counts_up_to_32_bits_and_no_further",)),
    Guard("no-reads", NEVER, (f"{_READS}::test_file_without_reads",)),
    Guard(
        "not-reads",
        ("refusal(found, fragments=fragments, insisted=insisted)", "None"),
        ("tests/engine/counting/test_sniff.py::test_wrong_file_is_refused",),
    ),
    Guard(
        "unknown-chromosomes",
        NEVER,
        (f"{_FEATURIZE}::test_unknown_chromosomes_are_refused_skipped_or_placed_as_bedtools",),
    ),
    # Features.
    Guard("control-characters", NEVER, (f"{_NAMES}::test_control_characters_in_genes_are_refused",)),
    Guard(
        "min-fraction-on-gene-chroms",
        ("0.01", "0.0"),
        (f"{_FEATURIZE}::test_reads_far_from_all_genes_are_refused",),
    ),
    Guard(
        "counting-options-differ",
        "different: list[str] = []",
        (f"{_RESUME}::test_files_made_with_other_options_are_not_replaced",),
    ),
    Guard("reads-hash", "same = True", (f"{_RESUME}::test_change_of_equal_size_and_time_is_detected",)),
    Guard("pooled-path", NEVER, (f"{_POOLING}::test_the_same_reads_twice_are_refused",)),
    Guard("pooled-twice", NEVER, (f"{_POOLING}::test_the_same_reads_twice_are_refused",)),
    Guard("pooled-overflow", NEVER, (f"{_POOLING}::test_sum_beyond_32_bits_is_refused",)),
    Guard("pooled-number", NEVER, (f"{_POOLING}::test_pooled_features_are_kept_while_every_file_is_the_same",)),
    Guard("verify-all-pooled", NEVER, (f"{_POOLING}::test_verify_sums_the_files",)),
    Guard("counts-released", (".copy()", ""), (f"{_FEATURIZE}::test_counts_are_released_after_writing",)),
    Guard("column-checksums", "if wrong := []:", (_STORE,)),
    Guard("metadata-checksum", NEVER, (_STORE,)),
    # Common.
    Guard(
        "atomic-output",
        ("create_temporary(path)", "path"),
        (f"{_FAULTS}::test_file_size_limit_leaves_old_output_unchanged", _FILES),
    ),
    Guard("leftover-files", NOTHING, (f"{_FAULTS}::test_sigkill_at_random_moments_leaves_whole_files",)),
    Guard("output-lock", ALWAYS, (f"{_FILES}::test_waiting_for_a_lock",)),
    Guard("safe-names", NEVER, (f"{_NAMES}::test_unsafe_file_names_are_refused",)),
    Guard(
        "printable-messages",
        "return super().__str__()",
        (f"{_NAMES}::test_control_characters_are_escaped_on_the_terminal",),
    ),
    # Training.
    Guard(
        "valid-rpkm", ALWAYS, (f"{_NUMBERS}::test_invalid_rpkm_is_refused", "tests/train/datasets/test_expression.py")
    ),
    Guard("gene-in-two-splits", NEVER, ("tests/train/datasets/test_dataset.py::test_a_damaged_split_file_is_refused",)),
    Guard("run-table-checksum", NEVER, (f"{_DAMAGE}::test_foreign_tables_are_refused",)),
    Guard("config-checksum", NEVER, (f"{_DAMAGE}::test_a_changed_byte_is_an_error_or_changes_nothing[config.json]",)),
    Guard(
        "model-checksum",
        NEVER,
        (f"{_DAMAGE}::test_a_changed_byte_is_an_error_or_changes_nothing[models/E003.safetensors]",),
    ),
    Guard("weight-shapes", NEVER, (f"{_DAMAGE}::test_weights_that_do_not_fit_the_config_are_refused",)),
    Guard("interrupt-in-import", ALWAYS, ("tests/cli/test_interrupts.py::test_an_interrupt_ends_the_program",)),
    Guard("interrupt-wakes", ("0.1", "1e6"), ("tests/common/test_threads.py",)),
    Guard("interrupted-exit", "raise SystemExit(INTERRUPTED)", ("tests/cli/test_interrupts.py",)),
    # The cache of compiled kernels.
    Guard("kernel-sources", NOTHING, (f"{_CACHE}.py::test_cache_never_returns_outdated_code",)),
    Guard("kernel-checksum", NEVER, (f"{_CACHE}_files.py::test_file_of_another_version_under_the_name_of_this_one",)),
    Guard(
        "private-kernels", "belongs_to_us = True", (f"{_CACHE}_files.py::test_directory_of_another_user_is_not_used",)
    ),
    Guard(
        "unsaved-kernel", ("Exception", "ZeroDivisionError"), (f"{_CACHE}_files.py::test_failed_save_leaves_no_file",)
    ),
    # Files of a run belong to it, and give its results.
    Guard("model-origin", NOTHING, (f"{_PROVENANCE}::test_a_model_of_another_run_is_refused",)),
    Guard("checkpoint-origin", NOTHING, (f"{_PROVENANCE}::test_a_checkpoint_of_another_run_is_refused",)),
    Guard("checkpoint-without-origin", NEVER, (f"{_PROVENANCE}::test_a_checkpoint_that_names_no_run_is_refused",)),
    Guard("table-origin", NOTHING, (f"{_PROVENANCE}::test_a_table_of_another_run_is_refused",)),
    Guard("evaluated-models", NOTHING, (f"{_PROVENANCE}::test_every_command_refuses_a_model_of_another_run",)),
    Guard("not-a-stack", NEVER, (f"{_SAVED}::test_networks_that_a_file_cannot_hold_are_refused_before_training",)),
    Guard(
        "unsaved-buffers",
        "if buffers := []:",
        (f"{_SAVED}::test_networks_that_a_file_cannot_hold_are_refused_before_training",),
    ),
    Guard("saved-scores", NEVER, (f"{_SAVED}::test_a_file_that_gives_other_scores_is_an_error",)),
    Guard("measured-auroc", NEVER, (f"{_SAVED}::test_networks_that_mix_models_or_genes_are_refused_after_training",)),
    # Outputs replace nothing that they should not.
    Guard("files-of-others", ALWAYS, (f"{_STRANGERS}::test_a_file_of_others_is_refused_without_force",)),
    Guard("linked-folders", NEVER, (f"{_STRANGERS}::test_a_link_in_place_of_a_folder_or_a_lock_is_refused",)),
    Guard("log-of-others", NEVER, (f"{_STRANGERS}::test_a_file_of_others_is_no_log",)),
    Guard("distinct-outputs", NEVER, ("tests/cli/test_outputs.py::test_two_outputs_at_one_path_are_refused",)),
    Guard("outputs-are-no-inputs", NEVER, ("tests/cli/test_outputs.py::test_an_output_that_is_an_input_is_refused",)),
    # Provenance: features under another name, of other settings, or unlike those of the training.
    Guard(
        "epigenome-of-file",
        NEVER,
        (
            f"{_COUNTING}::test_a_file_under_another_name_is_refused_by_every_reader",
            f"{_CHECKS}::test_a_renamed_file_is_not_trained_on_predicted_evaluated_or_shown",
        ),
    ),
    Guard("declared-size", NEVER, ("tests/common/test_parquet.py::test_the_limits_leave_room_for_large_data",)),
    Guard("header-first", NOTHING, (f"{_CHECKS}::test_features_that_do_not_fit_are_refused_before_they_are_read",)),
    Guard("verify-genome", NEVER, (f"{_VERIFY}::test_another_genome_than_that_of_the_counts_is_refused",)),
    Guard("same-counting", NEVER, (f"{_CHECKS}::test_mixed_features_are_not_trained_on",)),
    Guard("same-genome", "True,", (f"{_CHECKS}::test_another_genome_is_refused_unless_it_is_accepted",)),
    Guard("same-options", "if others := {}:", (f"{_CHECKS}::test_other_read_options_are_refused_with_both_values",)),
    Guard(
        "unlike-features",
        ("self.allow_unlike", "True"),
        (
            f"{_CHECKS}::test_swapped_marks_are_refused_by_name",
            f"{_CHECKS}::test_tsss_of_another_build_and_reads_of_one_chromosome_are_refused",
        ),
    ),
    # Edges of the program.
    Guard("special-output", "if kind := '':", (f"{_FILES}::test_links_and_special_files_at_outputs",)),
    Guard("special-input", "if kind := '':", (f"{_EDGES}::test_pipes_are_refused_where_a_file_is_needed",)),
    Guard("no-follow", ("os.O_NOFOLLOW", "0"), (f"{_FILES}::test_links_at_predictable_names_are_not_followed",)),
    Guard("state-directory", NEVER, (f"{_FILES}::test_links_at_predictable_names_are_not_followed",)),
    Guard(
        "max-threads",
        "if threads is not None and threads > (limit := 10**9):",
        (f"{_LIMITS}::test_too_many_threads_are_refused",),
    ),
    Guard("threads-per-file", "return threads", (f"{_LIMITS}::test_threads_without_work_are_not_started",)),
    Guard("closed-streams", NOTHING, (f"{_EDGES}::test_closed_streams",)),
    Guard("messages-may-fail", "raise", (f"{_EDGES}::test_reader_of_messages_goes_away",)),
    Guard("interrupt-at-exit", "raise KeyboardInterrupt", ("tests/cli/test_interrupts.py",)),
    Guard("interrupt-in-destructor", NOTHING, ("tests/cli/test_interrupts.py",)),
    Guard("foreign-qc", NEVER, (f"{_ENGINE}/features/test_qc.py::test_file_of_another_program_is_refused",)),
    Guard("foreign-multiqc", NEVER, (f"{_ENGINE}/features/test_qc.py::test_file_of_another_program_is_refused",)),
    Guard("foreign-run-report", NEVER, ("tests/train/run/test_multiqc.py::test_report_of_another_program_is_refused",)),
    Guard(
        "multiqc-names",
        NEVER,
        ("tests/common/test_multiqc.py::test_names_that_are_not_kept_are_in_a_list",),
    ),
    Guard(
        "multiqc-markup",
        ("html.escape(text.encode", "(text.encode"),
        (f"{_ENGINE}/features/test_multiqc.py::test_names_from_data_are_not_markup",),
    ),
    Guard(
        "complexity-of-duplicates",
        (' and not quality.filtered.get("duplicate")', ""),
        (f"{_ENGINE}/features/test_qc.py::test_no_complexity_without_duplicates",),
    ),
    Guard("foreign-summary", NEVER, (f"{_OUTPUTS}::test_files_of_other_programs_survive",)),
    Guard(
        "foreign-features",
        ('"redo" if is_own_damaged_file(path) else "refuse"', '"redo"'),
        (f"{_OUTPUTS}::test_unreadable_file_under_the_name_of_a_feature_file",),
    ),
    Guard("foreign-download", NEVER, (f"{_ENGINE}/roadmap/test_transfer.py::test_wrong_partial_file_is_discarded",)),
    Guard("foreign-demo", NEVER, (f"{_OUTPUTS}::test_a_demo_replaces_an_earlier_one",)),
    # Tables and odd files.
    Guard("table-last-block", NEVER, ("tests/common/test_text.py",)),
    Guard("annotation-after-fasta", NEVER, (f"{_ODD}::test_unclear_tables_are_refused",)),
    Guard(
        "transcripts-of-genes",
        "return True",
        (f"{_ENGINE}/annotation/test_gene_types.py::test_every_type_of_gene_is_read",),
    ),
    Guard("alias-of-two", NEVER, (f"{_ALIASES}::test_unclear_files_are_refused",)),
    Guard("ambiguous-alias", NEVER, (f"{_ALIASES}::test_unclear_files_are_refused",)),
    Guard(
        "one-mitochondrion",
        ("== 1", ">= 1"),
        (f"{_ALIASES}::test_auto_aliases_never_rename_a_chromosome_of_the_genome",),
    ),
    Guard("region-fields", NEVER, (f"{_REGIONS}::test_invalid_line_is_named",)),
    Guard("region-positions", NEVER, (f"{_REGIONS}::test_invalid_line_is_named",)),
    Guard("region-order", NEVER, (f"{_REGIONS}::test_invalid_line_is_named",)),
    Guard("region-types", NEVER, (f"{_REGIONS}::test_unclear_files_are_refused",)),
    Guard("utf-8-names", NEVER, (f"{_ODD}::test_unclear_tables_are_refused",)),
    Guard("bgzip-member-size", ("min(_MAX_MEMBER_BYTES, len(block.room()))", "len(block.room())"), (_READS,)),
    Guard("data-after-zeros", NEVER, (f"{_READS}::test_zeros_after_the_data_are_ignored",)),
    Guard(
        "off-genome-names",
        ("[:MAX_OFF_GENOME_NAMES]", ""),
        (f"{_READS}::test_the_chromosomes_with_most_reads_are_kept_by_name",),
    ),
    # Runs of earlier versions, and how to leave them.
    Guard("file-without-origin", NEVER, (f"{_PROVENANCE}::test_a_file_that_names_no_run_is_refused",)),
    Guard("origin-shape", NEVER, (f"{_PROVENANCE}::test_an_origin_of_another_shape_is_refused",)),
    Guard(
        "resumed-config",
        NOTHING,
        (f"{_PROVENANCE}::test_an_unfinished_run_of_an_earlier_version_is_finished_like_a_new_one",),
    ),
    Guard(
        "force-or-resume", NEVER, ("tests/train/run/test_directory.py::test_force_and_resume_contradict_each_other",)
    ),
    Guard(
        "same-strands",
        ("self.allow_unlike", "True"),
        (f"{_CHECKS}::test_other_strands_are_refused_where_they_matter",),
    ),
    Guard("unchanged-data", NEVER, (f"{_CHECKS}::test_a_cross_matrix_is_made_of_the_data_of_the_training",)),
    Guard(
        "unseen-nearest",
        ("np.setdiff1d(nearest_rows, test.rows)", "nearest_rows"),
        (f"{_YARDSTICKS}::test_nearest_epigenome_does_not_depend_on_test_genes",),
    ),
    Guard(
        "held-out-nearest",
        ("None if genes.held_out else self.seen", "self.seen"),
        (f"{_REFERENCE}::test_a_held_out_epigenome_is_fused_with_weights_of_the_epigenomes_trained_on",),
    ),
    Guard(
        "held-out-fusion",
        (".without(genes.epigenome)", ""),
        (f"{_REFERENCE}::test_the_expression_of_a_held_out_epigenome_is_used_for_labels_only",),
    ),
    Guard("unchanged-labels", ALWAYS, (f"{_REFERENCE}::test_a_table_with_other_labels_is_an_error",)),
    Guard(
        "user-network", ALWAYS, ("tests/train/models/test_custom.py::test_unusable_classes_are_refused_with_one_line",)
    ),
    Guard("valid-calibration", NEVER, ("tests/train/models/test_calibration.py::test_invalid_documents_are_refused",)),
    Guard("moved-reads", NEVER, (f"{_CHECKS}::test_the_order_of_the_genome_matters_where_it_moves_reads",)),
    # Counts in regions.
    Guard("distinct-columns", NEVER, (f"{_REGION_COUNTS}/test_columns.py::test_names_are_distinct",)),
    Guard("same-headers", NEVER, (f"{_ENGINE}/counting/test_headers.py::test_headers_that_differ",)),
    Guard("same-reads-twice", ("in seen", "is None"), ("tests/cli/test_count.py::test_wrong_usage",)),
    Guard("regions-off-genome", NEVER, ("tests/cli/test_count.py::test_bad_data_leaves_no_output",)),
    # What a read is, and which genome and names it has.
    Guard(
        "cram-mates",
        ("_MATE_FIELDS if with_mates else 0", "0"),
        (f"{_OPTIONS}::test_counts_records_reruns_and_recounts[fragments of CRAM]",),
    ),
    Guard("single-reads", NEVER, (f"{_OPTIONS}::test_single_reads_are_no_fragments",)),
    Guard("same-blacklist", NEVER, (f"{_OPTIONS}::test_verify_needs_the_blacklist",)),
    Guard("same-aliases", NEVER, (f"{_NAMES_OF_CHROMOSOMES}::test_counts_equal_those_of_the_renamed_file",)),
    Guard(
        "aliases-differ",
        NEVER,
        (f"{_NAMES_OF_CHROMOSOMES}::test_a_rerun_whose_names_find_other_reads_is_refused",),
    ),
    Guard(
        "mixed-names",
        NEVER,
        (f"{_NAMES_OF_CHROMOSOMES}::test_mixed_names_are_refused_unless_a_table_gives_them",),
    ),
    Guard("header-lengths", NEVER, (f"{_BUILDS}::test_header_of_another_build",)),
    Guard("reads-past-end", ALWAYS, (f"{_BUILDS}::test_text_reads_past_the_ends",)),
    Guard("genes-past-end", ALWAYS, (f"{_BUILDS}::test_genes_of_another_build",)),
    # Signal of bigWig files.
    Guard("min-share-on-chroms", ("0.01", "-1.0"), (f"{_SIGNAL}::test_a_file_without_data",)),
    Guard("reads-options-on-signal", NEVER, (f"{_SIGNAL}::test_options_for_reads_are_refused",)),
    Guard("finite-signal", NEVER, (f"{_SIGNAL}::test_a_value_that_is_not_finite_is_refused",)),
    Guard("bases-with-data", ("< track.least_bases", "< 0"), (f"{_SIGNAL}::test_fewer_data_than_the_header_states",)),
    Guard(
        "signal-of-two-chromosomes",
        ("!= chrom", "is None"),
        (f"{_SIGNAL}::test_names_of_chromosomes_can_be_translated",),
    ),
    Guard("signal-build", ("build_check and", "False and"), (f"{_SIGNAL}::test_another_build_is_refused",)),
    Guard("unknown-chromosomes-of-signal", NEVER, (f"{_SIGNAL}::test_a_chromosome_that_the_genome_lacks",)),
    Guard("no-signal", NEVER, (f"{_SIGNAL}::test_a_file_without_data",)),
    Guard("bigwig-chromosomes", NEVER, (f"{_SIGNAL}::test_two_chromosomes_with_one_number",)),
    Guard("finite-column", NEVER, (f"{_STORED_SIGNAL}::test_a_changed_file_is_refused",)),
    Guard(
        "counts-beside-signal",
        NEVER,
        (f"{_STORED_SIGNAL}::test_a_count_that_float32_does_not_hold_is_refused_beside_signal",),
    ),
    Guard(
        "signal-for-counts",
        ("if (mark in features.signal) == kind", "if False"),
        ("tests/train/datasets/test_signal.py::test_signal_does_not_take_the_place_of_counts",),
    ),
    Guard("log-of-signal", NEVER, ("tests/train/datasets/test_signal.py::test_signal_below_zero",)),
    Guard(
        "signal-not-thinned",
        ("torch.where(is_signal, self._x.index_select(0, rows), thinned)", "thinned"),
        ("tests/train/fitting/test_pooled.py::test_signal_is_not_thinned",),
    ),
    Guard(
        "bigwig-complete",
        NEVER,
        (f"{_ENGINE}/features/exports/test_tracks.py::test_a_bigwig_file_that_was_not_written_completely",),
    ),
)
