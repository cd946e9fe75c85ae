"""All that the pipeline needs to know to run one source, made from its configuration by `registry.py`."""

from dataclasses import dataclass
from typing import Any

from kasparro.ingestion.source import Source
from kasparro.ingestion.transform import Transformer
from kasparro.schemas.configuration import RejectLimit


@dataclass(frozen=True, slots=True)
class SourceJob:
    """A source with its transform, and the hashes by which a later run tells whether it may resume.

    `identity` is what makes keys; `config_hash` covers the whole configuration before secrets are filled in;
    `mapping_text` is the canonical mapping and `mapping_hash` its hash.
    """

    source: Source
    transformer: Transformer
    reject_limit: RejectLimit
    identity: dict[str, Any]
    config_hash: str
    mapping_hash: str
    mapping_text: str
