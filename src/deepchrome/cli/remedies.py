"""Reword errors of the library for users of the command line.

The library names parameters (``force``); users of the command line know options (``--force``). This is the only
module that translates between the two.
"""

from typing import Final

from deepchrome.errors import DeepchromeError, ParameterError

# Advice to append to the message of an error, by the ``remedy`` of the error.
REMEDIES: Final = {
    "aliases_file": "Give it with --chrom-alias FILE.",
    "allow_empty": "Use --allow-empty to accept this.",
    "allow_few": "Use --allow-few to accept this.",
    "allow_no_eof": "Use --allow-no-eof if you know that the file is complete.",
    "append_or_force": "Use --resume to append to it, or --force to replace it.",
    "blacklist": "Give the same file with --blacklist.",
    "build_check": "Use --no-build-check to accept this.",
    "drop_unlabelled": "Use --drop-unlabelled to leave out these genes.",
    "edge": "Use --edge zero or --edge drop, or a smaller --flank.",
    "epigenomes": "Choose other epigenomes with --epigenomes.",
    "feature": "Use --feature TYPE.",
    "finish_run": "To finish it, repeat the dc train command with --resume.",
    "force": "Use --force to replace it.",
    "format_bed": "Use --format bed if it is BED, with numbers as names.",
    "fragments": "Use --fragments to count each line as one fragment.",
    "genes_or_maps": "Leave out either --gene or --maps-only.",
    "genome": "Give it with --genome.",
    "maps_only": "Use --maps-only to make a report without these data.",
    "model_of": "Use --model-of to choose the model of another epigenome.",
    "name": "Use --name <epigenome>-<mark> to give them.",
    "one_threshold": "Leave out either --label-threshold or --label-genes.",
    "other_genome": "Use --allow-other-genome if a model of that genome is meant to score them.",
    "out": "Choose another directory with --out.",
    "out_or_force": "Choose another directory with --out, or use --force to replace earlier files.",
    "pool": "Use --pool to add up their counts.",
    "raw_depth": "Use --depth raw to train on them as they are.",
    "regression": "Train them with --task both.",
    "resume_or_force": "Use --resume to continue it, or --force to replace it.",
    "run_data": "Give FEATURES and --expression.",
    "samples": "Use --samples TABLE to list the files in a table.",
    "start_again": "Use --force without --resume to start again.",
    "unlike": "Use --allow-unlike to score them nevertheless.",
    "unknown_chrom": "Give it with --genome, or use --unknown-chrom skip to leave these reads out.",
    "wait_or_out": "Wait for it to finish, or choose another directory with --out.",
}
# Options and arguments whose name differs from the parameter of the library.
OPTIONS: Final = {
    "compress": "--gzip",
    "container": "--format",
    "file_format": "--format",
    "n_genes": "--genes",
    "point": "--center",
    "reads": "READS",
}


def explain(error: DeepchromeError) -> str:
    """Return the message of an error, with options in place of parameters and advice on what to do."""
    if isinstance(error, ParameterError):
        return option_name(error.parameter) + str(error).removeprefix(error.parameter)
    advice = REMEDIES.get(error.remedy, "")
    return f"{str(error).rstrip('.')}. {advice}" if advice else str(error)


def option_name(parameter: str) -> str:
    """Return the option or argument that sets a parameter of the library."""
    return OPTIONS.get(parameter, "--" + parameter.replace("_", "-"))
