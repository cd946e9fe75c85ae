"""What may be said about APIs and feeds: every kind of it is read, and what is wrong is said at its place."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.core.errors import InvalidConfigurationError
from kasparro.ingestion.sources.rss.entry import Entry
from kasparro.schemas.configuration import ApiSourceConfig, RssSourceConfig, config_hash, identity, parse_configuration
from kasparro.schemas.configuration.api import ApiKeyAuth, CursorPagination, Incremental
from kasparro.schemas.configuration.entries import ENTRY_MEMBERS
from kasparro.schemas.configuration.export import shown_configuration
from kasparro.schemas.configuration.secrets import secret_values

API = "name: a, type: api, url: https://x.org/items, key: id, map: {title: t}"
RSS = "name: n, type: rss, url: https://x.org/feed"
QUOTES = "\n    (names of other than letters, digits and _ stand in double quotes)"
WRITE = 'write minute hour day month weekday, such as "*/5 * * * *"'
FULL = """
sources:
  - name: assets
    type: api
    url: https://api.example.org/v1/assets
    params: {page: 010, on: yes}
    headers: {Accept-Language: de}
    auth: {type: api_key, header: X-API-Key, value: "${API_KEY}"}
    records: data.items
    pagination: {type: cursor, next: meta.next_cursor, param: after, size_param: limit, size: 100}
    incremental: {field: updated_at, param: since, format: epoch_ms, lookback: 10m, until_param: till}
    rate_limit: {requests: 5, per: 1m}
    retry: {attempts: 3, within: 1m30s}
    timeout: 5s
    max_body: 8MiB
    allow_private: true
    schedule: {every: 5m}
    key: [venue, ids.main]
    ignore: [meta.views]
    map: {title: name, value: quotes.USD.price, tags: [a.b, {expr: "c[]"}], attributes: {rank: rank}}
"""


def source_of(fields: str, **environ: str) -> ApiSourceConfig | RssSourceConfig:
    source = parse_configuration(f"sources: [{{{fields}}}]", environ).sources[0]
    assert isinstance(source, ApiSourceConfig | RssSourceConfig)
    return source


def problems_of(fields: str, **environ: str) -> list[str]:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_configuration(f"sources:\n- {{{fields}}}", environ)
    return [str(problem).partition("kasparro.yaml:2:")[2].partition(" ")[2] for problem in caught.value.problems]


def test_a_full_api_source_is_read() -> None:
    source = parse_configuration(FULL, {"API_KEY": "hunter2!"}).sources[0]
    assert isinstance(source, ApiSourceConfig)
    assert isinstance(source.auth, ApiKeyAuth)
    assert source.auth.value.get_secret_value() == "hunter2!"
    assert source.pagination == CursorPagination(
        type="cursor", next="meta.next_cursor", param="after", size_param="limit", size=100
    )
    assert source.incremental == Incremental(
        field="updated_at", param="since", format="epoch_ms", lookback=timedelta(minutes=10), until_param="till"
    )
    assert (source.key, source.params, source.max_body) == (
        ("venue", "ids.main"),
        {"page": "010", "on": "yes"},
        8 * 1024 * 1024,
    )
    assert (source.retry.within, source.rate_limit.per) == (timedelta(seconds=90), timedelta(minutes=1))
    assert source.schedule is not None
    assert source.schedule.every == timedelta(minutes=5)


@pytest.mark.parametrize(
    "pagination",
    [
        "{type: page}",
        "{type: page, param: p, start: 0, size_param: n, size: 3}",
        "{type: offset, size_param: limit, size: 50}",
        "{type: next_url, next: '\"@nextLink\"'}",
        "{type: link_header}",
    ],
)
def test_pages_are_found_in_any_of_these_ways(pagination: str) -> None:
    source = source_of(f"{API}, pagination: {pagination}")
    assert isinstance(source, ApiSourceConfig)
    assert source.pagination is not None
    assert pagination.startswith(f"{{type: {source.pagination.type}")


def test_a_feed_needs_no_more_than_its_url() -> None:
    source = source_of(RSS)
    assert isinstance(source, RssSourceConfig)
    assert (source.feeds, source.key, source.map) == (("https://x.org/feed",), None, None)
    several = source_of("name: n, type: rss, urls: [https://x.org/a, https://x.org/b]")
    assert isinstance(several, RssSourceConfig)
    assert several.feeds == ("https://x.org/a", "https://x.org/b")


def test_every_problem_of_an_api_source_is_reported_at_once() -> None:
    assert problems_of(
        "name: a, type: api, url: ftp://x, delimiter: x, urls: [y], auth: {type: beare, toke: x}, max_body: big,"
        " pagination: {type: cursor, size: 0, start: 1}, schedule: {evry: 5}, timeout: 5, headers: {a b: c, Host: x},"
        " rate_limit: {requests: 0}, records: 'a[', map: {title: a-b, attributes: {n: '[', m: [1]}}"
    ) == [
        "sources[0].key: required, but missing",
        "sources[0].url: must be a URL such as https://example.org/items",
        "sources[0].delimiter: belongs to type csv, not to api",
        "sources[0].urls: belongs to type rss, not to api",
        "sources[0].auth.token: required, but missing",
        'sources[0].auth.type: unknown type "beare"; known are api_key, bearer, basic; did you mean "bearer"?',
        'sources[0].auth.toke: unknown field; did you mean "token"?',
        "sources[0].max_body: must be a size, such as 500KB, 64MiB or 1GB",
        "sources[0].pagination.next: required, but missing",
        "sources[0].pagination.size: must be greater than or equal to 1",
        "sources[0].pagination.start: belongs to types page and offset, not to cursor",
        'sources[0].schedule.evry: unknown field; did you mean "every"?',
        'sources[0].timeout: "5" is not a duration; write numbers with a unit (w, d, h, m, s), such as 90s or 1h30m',
        'sources[0].headers.a b: "a b" is not the name of a header',
        'sources[0].headers.Host: "Host" is not yours to set: the client does',
        "sources[0].rate_limit.requests: must be greater than 0",
        "sources[0].records: not a JMESPath expression: the expression ends too early\n    a[\n      ^",
        f"sources[0].map.title: not a JMESPath expression: Unknown token '-'\n    a-b\n     ^{QUOTES}",
        f"sources[0].map.attributes.n: not a JMESPath expression: the expression ends too early\n    [\n     ^{QUOTES}",
        "sources[0].map.attributes.m: must be a path, {expr: JMESPath} or {value: constant}",
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("name: a, type: api, url: https://x.org, map: {}", "sources[0].key: required, but missing"),
        (f"{API}, auth: {{type: api_key, value: xx}}", "sources[0].auth: needs either header or query"),
        (
            f"{API}, auth: {{token: xx}}",
            "sources[0].auth.type: required, but missing; known are api_key, bearer, basic",
        ),
        (f"{API}, pagination: {{type: page, size: 3}}", "sources[0].pagination: size and size_param go together"),
        (f"{API}, headers: {{a: 'ä'}}", "sources[0].headers.a: must be printable ASCII"),
        (
            f"{API}, incremental: {{field: f, param: p, initial: soon}}",
            'sources[0].incremental: initial: "soon" is not an ISO 8601 time (format: iso8601)',
        ),
        (f"{API}, schedule: {{}}", "sources[0].schedule: needs either every or cron"),
        (f"{API}, schedule: {{every: 5m, cron: '* * * * *'}}", "sources[0].schedule: give every or cron, not both"),
        (
            f"{API}, auth: {{type: api_key, value: xx, header: X, query: y}}",
            "sources[0].auth: give header or query, not both",
        ),
        (f"{API}, schedule: {{every: 0s}}", "sources[0].schedule.every: must be longer than nothing"),
        (
            f"{API}, schedule: {{cron: '61 * * * *'}}",
            f'sources[0].schedule.cron: "61 * * * *" is not a cron expression (bad minute); {WRITE}',
        ),
        (
            f"{API}, schedule: {{every: 5m, timezone: UTC}}",
            "sources[0].schedule: timezone goes with cron, not with every",
        ),
        ("name: n, type: rss", "sources[0]: needs either url or urls"),
        (f"{RSS}, urls: [https://y.org]", "sources[0]: give url or urls, not both"),
        (f"{RSS}, key: link, identity: link", "sources[0]: give key or identity, not both"),
        ("name: n, type: rss, urls: [https://x.org, https://x.org]", 'sources[0].urls: "https://x.org" is given twice'),
        ("name: n, type: rss, url: 'https://u:p@x.org'", "sources[0].url: must not hold a user or password"),
        (f"{RSS}, records: x", "sources[0].records: belongs to type api, not to rss"),
        (
            "name: c, type: csv, path: p, map: {title: t}, auth: {type: basic}",
            "sources[0].auth: belongs to type api, not to csv",
        ),
        (
            "name: c, type: csv, path: p, map: {title: t}, allow_private: true",
            "sources[0].allow_private: belongs to types api and rss, not to csv",
        ),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(fields: str, problem: str) -> None:
    assert problems_of(fields) == [problem]


def test_a_path_that_begins_with_no_member_of_an_entry_is_a_problem() -> None:
    known = ", ".join(member for member in ENTRY_MEMBERS if member != "_key")
    assert problems_of(
        f"{RSS}, key: [guid, Link], where: titel, ignore: [title, feed.x, category, zzz], map: {{title: titel,"
        " body: 'content[0].value', author: 'author[0].name', tags: [language, tag], attributes: {x: sumary.y}}"
    ) == [
        'sources[0].key[1]: "Link" is no member of an entry; did you mean "link"?',
        'sources[0].where: "titel" is no member of an entry; did you mean "title"?',
        'sources[0].ignore[2]: "category" is no member of an entry; did you mean "categories"?',
        f'sources[0].ignore[3]: "zzz" is no member of an entry; members are {known}',
        'sources[0].map.title: "titel" is no member of an entry; did you mean "title"?',
        'sources[0].map.author: "author" is no member of an entry; did you mean "authors"?',
        f'sources[0].map.tags[1]: "tag" is no member of an entry; members are {known}',
        'sources[0].map.attributes.x: "sumary" is no member of an entry; did you mean "summary"?',
    ]


def test_expressions_over_entries_are_not_judged_by_their_names() -> None:
    source_of(f"{RSS}, where: \"contains(titel, 'x')\", map: {{title: {{expr: 'titel || title'}}, body: 'join(x, y)'}}")


def test_the_members_of_an_entry_are_those_that_are_kept() -> None:
    assert set(ENTRY_MEMBERS) == set(Entry.__annotations__)


def test_a_name_from_a_variable_is_not_shown() -> None:
    problems = problems_of(f"{RSS}, map: {{title: '${{V}}'}}", V="hunter2")
    assert problems == ["sources[0].map.title: has an unusable value (it comes from V)"]


def test_without_a_type_the_fields_say_which_is_meant() -> None:
    problems = problems_of("name: a, pagination: {type: page}, records: x, delimitr: x")
    assert "sources[0].url: required, but missing" in problems
    assert "sources[0].path: required, but missing" not in problems


def test_secrets_show_nowhere() -> None:
    environ = {"API_KEY": "hunter2!", "FEED_TOKEN": "hunter3!", "HOST": "x.org"}
    configuration = parse_configuration(FULL, environ)
    assert "hunter2!" not in f"{configuration!r}{shown_configuration(configuration)}"
    assert shown_configuration(configuration)["sources"][0]["auth"]["value"] == "${API_KEY}"
    feed = source_of("name: n, type: rss, url: 'https://${HOST}/${FEED_TOKEN}/feed?k=${API_KEY}'", **environ)
    assert secret_values(feed) == ("hunter3!", "hunter2!")
    wrong = f"{API}, auth: {{type: bearer, token: '${{API_KEY}}', extra: '${{API_KEY}}', type: '${{API_KEY}}'}}"
    assert "hunter2!" not in "".join(problems_of(wrong, **environ))


def test_a_part_of_a_text_with_a_variable_is_not_shown_either() -> None:
    fields = API.replace("key: id", "key: '${V}'") + ", ignore: ['${V}'], end_statuses: ['${V}']"
    problems = problems_of(fields, V="hunter2!")
    assert "sources[0].key: must be written out: it is the source's identity (found variable V)" in problems
    assert "sources[0].key[0]: has an unusable value (it comes from V)" in problems
    assert "hunter2!" not in "".join(problems)


@pytest.mark.parametrize(
    ("auth", "field"),
    [("type: api_key, header: X, value: '${API_KEY}'", "value"), ("type: bearer, token: '${API_KEY}'", "token")],
)
def test_a_secret_that_is_empty_is_told_from_one_that_is_not_set(auth: str, field: str) -> None:
    source, place = f"{API}, auth: {{{auth}}}", f"sources[0].auth.{field}"
    assert problems_of(source, API_KEY="") == [f"{place}: is empty (it comes from API_KEY)"]
    assert problems_of(source) == [f"{place}: environment variable API_KEY is not set (nor API_KEY_FILE)"]


def test_secrets_written_into_the_file_are_not_shown_either() -> None:
    fields = f"{API}, headers: {{X-Api-Key: hunter4!}}, auth: {{type: basic, user: '${{U}}', password: hunter5!}}"
    configuration = parse_configuration(f"sources: [{{{fields}}}]", {"U": "somebody"})
    shown = f"{configuration!r}{shown_configuration(configuration)}"
    assert "hunter" not in shown
    assert "somebody" not in shown
    assert secret_values(source_of(fields, U="somebody")) == ("hunter5!",)


_FIELDS = sorted(
    {*ApiSourceConfig.model_fields, *RssSourceConfig.model_fields, "path", "next", "header", "value", "expr", "every"}
)
_SCALARS = st.sampled_from(
    ["", "~", "api", "rss", "csv", "page", "cursor", "basic", "5m", "5", "a.b", "${V}", "<api>", "https://x.org", "*"]
)
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=8),
    max_leaves=30,
)


@given(st.lists(st.dictionaries(st.sampled_from(_FIELDS), _DOCUMENTS), min_size=1, max_size=2))
def test_any_document_is_a_configuration_or_a_list_of_problems(sources: list[Any]) -> None:
    text = json.dumps({"sources": sources}).replace('"~"', "~")
    try:
        configuration = parse_configuration(text, {"V": "hunter2!"})
    except InvalidConfigurationError as error:
        assert "hunter2!" not in str(error)  # noqa: PT017 - it need not be raised
    else:
        assert "hunter2!" not in str(shown_configuration(configuration))


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        ("schedule: {every: 1h}", False),
        ("auth: {type: bearer, token: other}", False),
        ("rate_limit: {requests: 9}", False),
        ("timeout: 1s, connect_timeout: 1s, total_timeout: 1s, retry: {attempts: 1}, max_body: 1KB", False),
        ("allow_private: true, allow_other_hosts: true, max_pages: 3", False),
        ("params: {a: '${V}'}", True),
        ("records: x", True),
        ("pagination: {type: page}", True),
        ("incremental: {field: f, param: p}", True),
    ],
)
def test_a_pass_may_be_resumed_under_other_manners(change: str, *, changes: bool) -> None:
    base = config_hash(source_of(API))
    assert (config_hash(source_of(f"{API}, {change}", V="1")) != base) == changes
    assert config_hash(source_of(f"{API}, {change}", V="1")) == config_hash(source_of(f"{API}, {change}", V="2"))


def test_lookback_and_defaults_change_no_hash() -> None:
    watched = f"{API}, incremental: {{field: f, param: p}}"
    assert config_hash(source_of(watched)) == config_hash(
        source_of(watched.replace("param: p", "param: p, lookback: 1h"))
    )


def test_identity_of_feeds_and_apis() -> None:
    assert identity(source_of(API)) == {"type": "api", "key": ["id"]}
    assert identity(source_of(RSS)) == {"type": "rss", "key": []}
    assert identity(source_of(f"{RSS}, identity: link")) == {"type": "rss", "key": [], "identity": "link"}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            f"{API}, deletes: {{snapshot: true}}, incremental: {{field: at, param: since}}",
            "sources[0]: deletes.snapshot cannot go with incremental, which never asks for every record",
        ),
        (
            f"{API}, deletes: {{snapshot: true}}, pagination: {{type: offset}}",
            "sources[0]: deletes.snapshot cannot go with pagination by offset, where records slip past pages",
        ),
        (
            f"{RSS}, deletes: {{snapshot: true}}",
            "sources[0].deletes: a feed never holds every record: snapshot cannot be told of it",
        ),
    ],
)
def test_snapshots_only_where_all_can_be_read(fields: str, problem: str) -> None:
    assert problems_of(fields) == [problem]


def test_marker_of_a_feed_begins_with_a_member() -> None:
    (problem,) = problems_of(f"{RSS}, deletes: {{tombstone: titel}}")
    assert problem.startswith('sources[0].deletes: "titel" is no member of an entry')


def test_share_that_may_go_makes_no_other_configuration() -> None:
    snapshot = f"{API}, deletes: {{snapshot: true, max_share: SHARE}}"
    hashes = {config_hash(source_of(snapshot.replace("SHARE", share))) for share in ("0.1", "0.5")}
    assert len(hashes) == 1
    assert config_hash(source_of(API)) not in hashes
