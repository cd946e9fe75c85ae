"""The `csv` source: files or globs of delimited text, read as a stream, resumable at any record."""

from kasparro.ingestion.sources.csv.detection import Detected, detect
from kasparro.ingestion.sources.csv.options import CsvOptions
from kasparro.ingestion.sources.csv.source import CsvSource

__all__ = ["CsvOptions", "CsvSource", "Detected", "detect"]
