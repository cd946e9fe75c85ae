"""The configuration file `kasparro.yaml`: its models, how it is read and checked, and what is remembered of it."""

from kasparro.schemas.configuration.identity import config_hash, identity, mapping_hash, mapping_text
from kasparro.schemas.configuration.load import load_configuration, parse_configuration
from kasparro.schemas.configuration.mapping import ConstantTarget, ExpressionTarget, RecordMap, Target
from kasparro.schemas.configuration.models import Configuration, CsvSourceConfig, RejectLimit

__all__ = [
    "Configuration",
    "ConstantTarget",
    "CsvSourceConfig",
    "ExpressionTarget",
    "RecordMap",
    "RejectLimit",
    "Target",
    "config_hash",
    "identity",
    "load_configuration",
    "mapping_hash",
    "mapping_text",
    "parse_configuration",
]
