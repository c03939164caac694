"""Write BAM and CRAM files for the tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pysam

from support.strategies import Record


def write_bam(
    path: Path, references: Mapping[str, int], records: Sequence[Record], mode: str = "wb", **options: list[bytes]
) -> None:
    """Write the records in their order.

    ``mode`` is the mode of pysam: ``wb`` for BAM, ``wbu`` for uncompressed BAM, ``wc`` for CRAM.
    """
    header = pysam.AlignmentHeader.from_references(list(references), list(references.values()))
    with pysam.AlignmentFile(str(path), mode, header=header, **options) as file:
        for i, record in enumerate(records):
            out = pysam.AlignedSegment(header)
            out.query_name = record.name or f"r{i}" * (1 + i % 3)
            out.query_sequence = record.bases or None
            out.flag = record.flag
            out.reference_id = header.get_tid(record.chrom) if record.chrom else -1
            out.reference_start = record.start
            out.mapping_quality = record.mapq
            out.cigarstring = record.cigar
            out.next_reference_id = header.get_tid(record.mate_chrom) if record.mate_chrom else -1
            out.next_reference_start = record.mate_start
            out.template_length = record.template_length
            if i % 4 == 0:
                out.set_tag("XX", "some text " * (i % 7))
            file.write(out)
