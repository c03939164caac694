"""Write the alignments of a CRAM file to standard output as BAM. This runs as a process of its own.

htslib decodes without the interpreter's lock here, and a file that makes it crash cannot take the counting program
with it. The script imports nothing but pysam, so it starts in a twentieth of a second.

Usage: decode_cram.py FILE MORE_THREADS FORMAT_OPTION
"""

import sys

from pysam import samtools
from pysam.utils import SamtoolsError

_BAD_DATA = 65  # the exit code of BadDataError
_MAX_MESSAGE = 4000  # characters; more could fill the pipe, which is only read at the end


def main() -> None:
    """Decode the file that the command line names."""
    path, more_threads, option = sys.argv[1:]
    # -u: BAM whose blocks are not compressed. Without --no-PG, samtools would add this command to the header.
    arguments = ("-u", "--no-PG", "-@", more_threads, "-o", "-", "--input-fmt-option", option, path)
    try:
        samtools.view(*arguments, catch_stdout=False)
    except SamtoolsError as error:
        sys.stderr.write(error.value.rpartition("stderr=")[2][-_MAX_MESSAGE:])
        sys.exit(_BAD_DATA)


if __name__ == "__main__":
    main()
