"""The version of the package, which is also stored in the metadata of output files."""

VERSION = "0.1.0"
