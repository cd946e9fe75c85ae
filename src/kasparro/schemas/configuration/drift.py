"""What may be said about what happens when a source's payloads differ from the shape that was accepted."""

from typing import Final, Literal

from kasparro.schemas.configuration.strict import Strict

Policy = Literal["accept", "warn", "quarantine", "fail"]
DriftKind = Literal["field_added", "field_missing", "type_changed", "field_renamed", "value_shift"]
DRIFT_KINDS: Final = ("field_added", "field_missing", "type_changed", "field_renamed", "value_shift")


class DriftPolicies(Strict):
    """What happens for each kind of drift. `accept`: the new shape is the accepted one from then on. `warn`: the
    finding stays open until somebody decides, or it is so no more. `quarantine`: the same, and the records that it
    concerns are rejected (code `drift`), so that no value is overwritten by NULL. `fail`: nothing of the batch is
    written, and the run fails."""

    watch: bool = True
    """Whether the source is watched at all. `false`: its payloads are not looked at, and nothing is found."""
    field_added: Literal["accept", "warn", "fail"] = "accept"
    """Records have a field that they did not have before."""
    field_missing: Policy | None = None
    """Records lack a field. When absent: `quarantine` where the mapping or the key uses the field, else `warn`; a
    `quarantine` that is given does the same, for records without a field that nothing uses lose nothing."""
    type_changed: Policy | None = None
    """Most values of a field are of types that it did not have. When absent: as for `field_missing`."""
    field_renamed: Policy | None = None
    """A field that is missing and one that is new are the same. When absent: as for `field_missing`."""
    value_shift: Literal["accept", "warn", "fail"] = "warn"
    """Values are of other sizes, in other formats, or missing more often; no record of its own is at fault."""

    def of(self, kind: DriftKind, *, mapped: bool) -> Policy:
        """What is done about a finding; `mapped` where the mapping or the key uses the field."""
        policy: Policy = getattr(self, kind) or "quarantine"
        return "warn" if policy == "quarantine" and not mapped else policy

    @property
    def fails(self) -> bool:
        """Whether any kind fails a run."""
        return any(getattr(self, kind) == "fail" for kind in DRIFT_KINDS)
