"""Write the alignments of a CRAM file to standard output as BAM. This runs as a process of its own.

htslib decodes without the interpreter's lock here, and a file that makes it crash cannot take the counting program
with it. The script imports nothing but pysam, so it starts in a twentieth of a second.

Usage: decode_cram.py FILE FORMAT_OPTION
"""

import os
import sys

from pysam import samtools
from pysam.utils import SamtoolsError

_BAD_DATA = 65  # the exit code of BadDataError
_MAX_MESSAGE = 4000  # characters; more could fill the pipe, which is only read at the end


def main() -> None:
    """Decode the file that the command line names."""
    path, option = sys.argv[1:]
    report = os.dup(2)
    # htslib may warn about every line of a header. Nobody reads that, and a full pipe would stop the decoding.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # -u: BAM whose blocks are not compressed. Without --no-PG, samtools would add this command to the header. Only one
    # thread, the default: with more, htslib takes a damaged container for the end of the file.
    arguments = ("-u", "--no-PG", "-o", "-", "--input-fmt-option", option, path)
    try:
        samtools.view(*arguments, catch_stdout=False)
    except SamtoolsError as error:
        os.write(report, error.value.rpartition("stderr=")[2][-_MAX_MESSAGE:].encode())
        sys.exit(_BAD_DATA)


if __name__ == "__main__":
    main()
