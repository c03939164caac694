"""The bundled builds that fit the chromosomes of a file."""

import pytest

from deepchrome.engine.annotation.builds import builds_that_hold, matching_builds
from deepchrome.engine.annotation.genome import BUNDLED_GENOMES, read_genome

# The header of a BAM file that was aligned to the reference of the 1000 Genomes Project, in part.
B37 = {"1": 249_250_621, "2": 243_199_373, "X": 155_270_560, "MT": 16_569, "GL000207.1": 4_262, "NC_007605": 171_823}


@pytest.mark.parametrize("name", BUNDLED_GENOMES)
def test_a_build_matches_itself_best(name: str) -> None:
    assert matching_builds(read_genome(name).sizes)[0] == name


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"chr1": 249_250_621}, ["hg19", "GRCh37"]),
        ({"1": 249_250_621}, ["GRCh37", "hg19"]),
        (B37, ["GRCh37"]),  # MT of hg19 has another length
        ({"chr1": 248_956_422, "HLA-A*01:01": 3_503, "chrUn_KN707606v1_decoy": 2_200}, ["hg38", "GRCh38"]),
        ({"chr1": 248_956_422, "chr2": 243_199_373}, []),  # one chromosome each of hg38 and hg19
        ({"chrM": 16_569, "contig": 5_000_000}, []),
        ({"chrM": 16_569}, ["hg38", "hs1", "GRCh37", "GRCh38"]),
        ({"chrM": 16_299}, ["mm10", "mm39", "GRCm38", "GRCm39"]),
        ({"chr1": 5}, []),
        ({}, []),
    ],
)
def test_matching_builds(sizes: dict[str, int], expected: list[str]) -> None:
    assert matching_builds(sizes) == expected


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"chr1": 249_250_000, "chr2": 5}, ["hg19", "GRCh37"]),
        ({"1": 249_250_000, "2": 5}, ["GRCh37", "hg19"]),
        ({"chr1": 248_956_000}, ["hg38", "hg19", "GRCh38", "GRCh37"]),  # hg38 has the least room after it
        ({"chr1": 249_250_622}, []),
        ({"chr1": 5, "contig": 5}, []),
        ({}, []),
    ],
)
def test_builds_that_hold(ends: dict[str, int], expected: list[str]) -> None:
    assert builds_that_hold(ends) == expected
