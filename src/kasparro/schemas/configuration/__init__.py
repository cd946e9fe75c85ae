"""The configuration file `kasparro.yaml`: its models, how it is read and checked, and what is remembered of it."""

from kasparro.schemas.configuration.alerts import Alerts, AnyHook, SlackHook, WebhookHook, signing_key
from kasparro.schemas.configuration.api import ApiSourceConfig
from kasparro.schemas.configuration.base import RejectLimit, SourceConfig
from kasparro.schemas.configuration.csv import CsvSourceConfig
from kasparro.schemas.configuration.deletes import Deletes
from kasparro.schemas.configuration.identity import (
    config_hash,
    identity,
    mapping_hash,
    mapping_text,
    variables_of,
    written_text,
)
from kasparro.schemas.configuration.load import load_configuration, parse_configuration
from kasparro.schemas.configuration.mapping import ConstantTarget, ExpressionTarget, PathMap, RecordMap, Target
from kasparro.schemas.configuration.models import AnySourceConfig, Configuration
from kasparro.schemas.configuration.retention import Retention
from kasparro.schemas.configuration.rss import RssSourceConfig
from kasparro.schemas.configuration.schedule import Schedule

__all__ = [
    "Alerts",
    "AnyHook",
    "AnySourceConfig",
    "ApiSourceConfig",
    "Configuration",
    "ConstantTarget",
    "CsvSourceConfig",
    "Deletes",
    "ExpressionTarget",
    "PathMap",
    "RecordMap",
    "RejectLimit",
    "Retention",
    "RssSourceConfig",
    "Schedule",
    "SlackHook",
    "SourceConfig",
    "Target",
    "WebhookHook",
    "config_hash",
    "identity",
    "load_configuration",
    "mapping_hash",
    "mapping_text",
    "parse_configuration",
    "signing_key",
    "variables_of",
    "written_text",
]
