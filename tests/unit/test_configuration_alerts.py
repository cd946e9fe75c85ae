"""`alerts:` in kasparro.yaml: what is accepted, what is refused and where, and what shows nowhere."""

import json

import pytest

from kasparro.core.errors import InvalidConfigurationError
from kasparro.core.masking import mask_text
from kasparro.schemas.alerts import AlertKind, AlertRules, Route
from kasparro.schemas.configuration import Configuration, parse_configuration
from kasparro.schemas.configuration.export import shown_configuration

SOURCES = """\
sources:
  - {name: trades, type: csv, path: trades.csv, key: id, map: {title: t}}
  - {name: news, type: csv, path: news.csv, key: id, map: {title: t}}
"""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://hooks.slack.example/services/T000/B000/tokentokentoken"

SECRET_FAULT = (
    'must be "whsec_" and 24 to 64 bytes in base64, as the receiver has it; "whsec_$(openssl rand -base64 32)" is one'
)
KIND_FAULT = (
    "must be 'failing' or 'systemic' or 'stale' or 'drift' or 'quality' or 'anomaly' or 'circuit', "
    'not "staler"; did you mean "stale"?'
)


def parsed(alerts: str, **variables: str) -> Configuration:
    return parse_configuration(SOURCES + alerts, variables)


def problems(alerts: str, **variables: str) -> list[str]:
    with pytest.raises(InvalidConfigurationError) as caught:
        parsed(alerts, **variables)
    return [f"{problem.line}: {problem.field}: {problem.message}" for problem in caught.value.problems]


def test_hooks_are_told_of_their_kinds_and_sources() -> None:
    configuration = parsed(
        """\
alerts:
  failing_after: 2
  recovered_after: 90s
  hooks:
    - {name: pager, type: webhook, url: "${URL}", secret: "${KEY}", on: [failing, stale], sources: trades}
    - {name: team, type: slack, url: "${URL}"}
""",
        URL=URL,
        KEY=SECRET,
    )
    everything = frozenset[AlertKind]({"failing", "systemic", "stale", "drift", "quality", "anomaly"})
    pager, team = Route("pager", frozenset[AlertKind]({"failing", "stale"})), Route("team", everything)
    assert configuration.alerts.rules("trades") == AlertRules((pager, team), 2, 90.0)
    assert configuration.alerts.rules("news") == AlertRules((team,), 2, 90.0)


def test_without_alerts_nobody_is_told() -> None:
    assert parsed("").alerts.rules("trades") == AlertRules()


def test_each_mistake_is_found_at_its_line() -> None:
    found = problems(
        """\
alerts:
  failing_after: 0
  hooks:
    - name: pager
      type: webhook
      url: ftp://example.org
      secret: abc
      on: [failing, staler]
      sources: [trades, newz]
    - {name: pager, type: slck, url: "https://example.org/x", retries: 3}
"""
    )
    assert found == [
        "5: alerts.failing_after: must be greater than or equal to 1",
        "9: alerts.hooks[0].url: must be a URL such as https://example.org/items",
        f"10: alerts.hooks[0].secret: {SECRET_FAULT}",
        f"11: alerts.hooks[0].on[1]: {KIND_FAULT}",
        '12: alerts.hooks[0].sources[1]: there is no source "newz"; did you mean "news"?',
        '13: alerts.hooks[1].name: another hook is called "pager" (line 7)',
        '13: alerts.hooks[1].type: unknown type "slck"; known are webhook, slack; did you mean "slack"?',
        "13: alerts.hooks[1].retries: unknown field; known are name, url, on, sources, allow_private, type",
    ]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", f"x{SECRET}", "whsec_" + "QUFB" * 30])
def test_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    hook = "alerts:\n  hooks:\n    - {name: pager, type: webhook, url: 'https://example.org/x', secret: \"${KEY}\"}\n"
    (problem,) = problems(hook, KEY=secret or " ")
    assert problem == "6: alerts.hooks[0].secret: has an unusable value (it comes from KEY)"


def test_url_and_secret_show_nowhere() -> None:
    configuration = parsed(
        f"""\
alerts:
  hooks:
    - {{name: pager, type: webhook, url: "{URL}", secret: {SECRET}}}
    - {{name: team, type: slack, url: "${{SLACK_URL}}"}}
""",
        SLACK_URL=URL,
    )
    shown = shown_configuration(configuration)["alerts"]["hooks"]
    assert (shown[0]["url"], shown[0]["secret"], shown[1]["url"]) == ("**********", "**********", "${SLACK_URL}")
    for text in (json.dumps(shown), repr(configuration), str(configuration.alerts)):
        assert "tokentokentoken" not in text
        assert SECRET not in text
    assert mask_text(f"posted to {URL}") == "posted to ${SLACK_URL}"
