"""Proposals as a patch of the configuration file: what it says then is checked before anything is shown or written."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kasparro.core.errors import ConfigurationError
from kasparro.ingestion.mending.proposals import Change, Drifted, Proposal, Unchanged, propose
from kasparro.ingestion.mending.yaml_edits import CannotEditError, Edit, edited, patch_of
from kasparro.schemas.configuration import AnySourceConfig, Configuration, parse_configuration

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """The file as it is read: its text with its line ends, and what it says."""

    path: Path
    name: str
    text: str
    configuration: Configuration


@dataclass(slots=True)
class Patch:
    """What is proposed for the file: `after` is its text then, `sources` are those that change, as they are then."""

    file: ConfigurationFile
    after: str
    text: str
    changes: dict[str, list[Change]] = field(default_factory=dict[str, list[Change]])
    unchanged: dict[str, list[Unchanged]] = field(default_factory=dict[str, list[Unchanged]])
    sources: dict[str, AnySourceConfig] = field(default_factory=dict[str, AnySourceConfig])


def read_file(path: Path, name: str, environ: Mapping[str, str]) -> ConfigurationFile:
    """The file and what it says. Raises ConfigurationError."""
    try:
        text = path.read_bytes().removeprefix(_BOM).decode()
    except OSError as error:
        raise ConfigurationError(f"{name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}: not UTF-8 text") from None
    return ConfigurationFile(path, name, text, parse_configuration(text, environ, file=name))


def patch_for(file: ConfigurationFile, findings: Mapping[str, Sequence[Drifted]], environ: Mapping[str, str]) -> Patch:
    """The patch for the open findings of sources. Raises InvalidConfigurationError should what it leads to be wrong."""
    patch, edits = Patch(file, file.text, ""), list[Edit]()
    for index, config in enumerate(file.configuration.sources):
        if config.name not in findings:
            continue
        proposal = propose(config, findings[config.name])
        of_source = _possible(file.text, proposal, index)
        edits += of_source
        patch.changes[config.name] = proposal.changes
        patch.unchanged[config.name] = proposal.unchanged
    if edits:
        patch.after = edited(file.text, edits)
        patch.text = patch_of(file.name, file.text, patch.after, edits)
        changed = parse_configuration(patch.after, environ, file=file.name)
        patch.sources = {config.name: config for config in changed.sources if patch.changes.get(config.name)}
    return patch


def write(patch: Patch) -> None:
    """Put the new text into the file's place at once, with its permissions. Raises ConfigurationError."""
    path = patch.file.path.resolve()
    try:
        content = path.read_bytes()
        if content.removeprefix(_BOM) != patch.file.text.encode():
            raise ConfigurationError(f"{patch.file.name}: it has changed meanwhile", hint="Propose again.")
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            temporary = Path(stream.name)
            try:
                stream.write((_BOM if content.startswith(_BOM) else b"") + patch.after.encode())
                stream.flush()
                os.fsync(stream.fileno())
                shutil.copymode(path, temporary)
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigurationError(f"{patch.file.name}: cannot be written: {error.strerror}") from error


def label(finding: Drifted) -> str:
    """A finding as the head of a hunk names it: in one line, whatever a field's name holds."""
    parts = ", ".join(f"{name} {part:.2f}" for name, part in finding.parts.items())
    subject = " ".join(finding.subject.split())
    return f"drift {finding.id}: {subject}, confidence {finding.confidence:.2f} ({parts})"


def _possible(text: str, proposal: Proposal, index: int) -> list[Edit]:
    """The edits that can be made exactly; other changes are moved to what stays unchanged, with the reason."""
    edits: list[Edit] = []
    for change in list(proposal.changes):
        at = ("sources", index, *change.use.at)
        edit = Edit(
            at, change.use.text, change.text, list(map(label, change.findings)), change.as_expression, change.is_added
        )
        try:
            if "${" in change.text:
                raise CannotEditError("it holds what would be read as a variable")
            edited(text, [edit])
        except CannotEditError as problem:
            proposal.changes.remove(change)
            reason = f"{problem}: make it `{change.text}` by hand"
            proposal.unchanged += [Unchanged(finding, change.use.shown, reason) for finding in change.findings]
        else:
            edits.append(edit)
    return edits
