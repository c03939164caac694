"""The version: of the distribution, and in the metadata of what it writes."""

VERSION = "0.1.0"
