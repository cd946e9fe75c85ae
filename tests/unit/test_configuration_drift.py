"""What a source may say about drift."""

import pytest

from kasparro.core.errors import InvalidConfigurationError
from kasparro.schemas.configuration import AnySourceConfig, config_hash, mapping_hash, parse_configuration
from kasparro.schemas.configuration.drift import DriftPolicies

TEXT = "sources: [{name: a, type: csv, path: a.csv, key: id, map: {title: t}DRIFT}]"


def source_of(drift: str = "") -> AnySourceConfig:
    return parse_configuration(TEXT.replace("DRIFT", drift and f", drift: {drift}"), {}).sources[0]


def test_what_nobody_has_said_depends_on_what_is_mapped() -> None:
    policies = source_of().drift
    assert [policies.of("field_missing", mapped=mapped) for mapped in (True, False)] == ["quarantine", "warn"]
    assert [policies.of("field_added", mapped=mapped) for mapped in (True, False)] == ["accept", "accept"]
    assert policies.of("value_shift", mapped=True) == "warn"
    assert (policies.watch, policies.fails) == (True, False)


def test_quarantine_of_what_nothing_uses_is_a_warning() -> None:
    policies = source_of("{field_missing: quarantine, type_changed: fail}").drift
    assert policies.of("field_missing", mapped=False) == "warn"
    assert policies.of("type_changed", mapped=False) == "fail"
    assert policies.fails


@pytest.mark.parametrize("kind", ["field_added", "value_shift"])
def test_no_record_is_at_fault_for_a_new_field_or_a_shift(kind: str) -> None:
    with pytest.raises(InvalidConfigurationError) as refused:
        source_of(f"{{{kind}: quarantine}}")
    (problem,) = refused.value.problems
    assert f"drift.{kind}" in str(problem)
    assert "accept" in str(problem)


def test_policies_may_change_while_a_pass_is_open() -> None:
    plain, strict = source_of(), source_of("{field_missing: fail, watch: false}")
    assert config_hash(plain) == config_hash(strict)
    assert mapping_hash(plain) == mapping_hash(strict)
    assert plain.drift == DriftPolicies()
