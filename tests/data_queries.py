"""Questions to `GET /data`, each beside the same question in SQL written by hand; and rows to ask them about."""

from dataclasses import dataclass

from kasparro.core.database import Connection


@dataclass(frozen=True, slots=True)
class Question:
    """A query string, and what it means: `where` and `order by` over unified_data `u` and its source `s`."""

    query: str
    where: str = "true"
    order: str = "u.id"


AIR_TIME = "(u.attributes->>'air_time')"
DELAY = "(u.attributes->>'dep_delay')"

QUESTIONS = [
    Question(""),
    Question("sort=id"),
    Question("sort=-id", order="u.id desc"),
    # -- equality
    Question("category=UA", "u.category = 'UA'"),
    Question("category=eq.UA", "u.category = 'UA'"),
    Question("category=neq.UA", "u.category <> 'UA'"),
    Question("category=not.eq.UA", "not u.category = 'UA'"),
    Question("title=N14228", "u.title = 'N14228'"),
    Question("title=N14228&sort=-occurred_at", "u.title = 'N14228'", "u.occurred_at desc nulls last, u.id desc"),
    Question("value=1400", "u.value = 1400"),
    Question("value=1400.00", "u.value = 1400"),
    Question("value=neq.1400&sort=value", "u.value <> 1400", "u.value, u.id"),
    Question("unit=mi&category=B6", "u.unit = 'mi' and u.category = 'B6'"),
    Question("occurred_at=2013-07-04T10:00:00Z", "u.occurred_at = '2013-07-04 10:00+00'"),
    Question("occurred_at=2013-07-04T12:00:00%2B02:00", "u.occurred_at = '2013-07-04 10:00+00'"),
    Question("occurred_at=2013-07-04T12:00:00+02:00", "u.occurred_at = '2013-07-04 10:00+00'"),
    Question("attributes.origin=JFK", "u.attributes->>'origin' = 'JFK'"),
    Question("attributes.origin=neq.JFK", "u.attributes->>'origin' <> 'JFK'"),
    Question("attributes.origin=JFK&attributes.dest=LAX", "u.attributes @> '{\"origin\": \"JFK\", \"dest\": \"LAX\"}'"),
    # -- sources
    Question("source=flights", "s.name = 'flights'"),
    Question("source=csv&sort=-id", "s.type = 'csv'", "u.id desc"),
    Question("source=neq.flights", "s.name <> 'flights'"),
    Question("source=like.fli*", "s.name like 'fli%'"),
    Question("source_type=csv&category=AA", "s.type = 'csv' and u.category = 'AA'"),
    Question("source_type=in.(api,rss)", "s.type in ('api', 'rss')"),
    # -- ranges
    Question("value=gt.2000", "u.value > 2000"),
    Question("value=gte.2475&sort=-value", "u.value >= 2475", "u.value desc, u.id desc"),
    Question("value=lt.100", "u.value < 100"),
    Question("value=lte.94.0", "u.value <= 94"),
    Question("value=gte.200&value=lt.2e2", "u.value >= 200 and u.value < 200"),
    Question("value=gte.200&value=lt.300", "u.value >= 200 and u.value < 300"),
    Question("occurred_at=gte.2013-12-31", "u.occurred_at >= '2013-12-31 00:00+00'"),
    Question(
        "occurred_at=gte.2013-01-01&occurred_at=lt.2013-02-01",
        "u.occurred_at >= '2013-01-01 00:00+00' and u.occurred_at < '2013-02-01 00:00+00'",
    ),
    Question(
        "occurred_at=gte.2013-06-30T22:00Z&occurred_at=lte.2013-07-01T06:00Z&sort=-occurred_at",
        "u.occurred_at between '2013-06-30 22:00+00' and '2013-07-01 06:00+00'",
        "u.occurred_at desc, u.id desc",
    ),
    Question("occurred_at=not.gte.2013-02-01", "not u.occurred_at >= '2013-02-01 00:00+00'"),
    Question("title=gte.N9&title=lt.NA", "u.title >= 'N9' and u.title < 'NA'"),
    Question("record_key=lt.2&sort=record_key", "u.record_key < '2'", "u.record_key, u.id"),
    Question("id=gt.100&id=lte.300", "u.id > 100 and u.id <= 300"),
    Question("first_seen_at=gte.2000-01-01&id=lt.50", "u.first_seen_at >= '2000-01-01' and u.id < 50"),
    Question("last_changed_at=lt.2001-01-01", "u.last_changed_at < '2001-01-01'"),
    Question("run_id=gte.1&raw_id=gte.1&id=lt.90", "u.run_id >= 1 and u.raw_id >= 1 and u.id < 90"),
    Question("attributes.air_time=gte.600", f"{AIR_TIME} ~ '^[0-9]+$' and {AIR_TIME}::numeric >= 600"),
    Question("attributes.air_time=lt.25.5", f"{AIR_TIME} ~ '^[0-9]+$' and {AIR_TIME}::numeric < 25.5"),
    Question("attributes.dest=gte.X", "u.attributes->>'dest' >= 'X'"),
    Question(
        "attributes.dep_delay=gt.120&attributes.dep_delay=lte.130",
        f"{DELAY} ~ '^-?[0-9]+$' and {DELAY}::numeric > 120 and {DELAY}::numeric <= 130",
    ),
    # -- patterns, lists, missing values
    Question("title=like.N1*", "u.title like 'N1%'"),
    Question("title=like.%25AA", "u.title like '%AA'"),
    Question("title=like.N_0*A", "u.title like 'N_0%A'"),
    Question("title=ilike.n*ua", "u.title ilike 'n%ua'"),
    Question("title=not.like.N*", "not u.title like 'N%'"),
    Question("record_key=like.*|UA|*", "u.record_key like '%|UA|%'"),
    Question("attributes.dest=ilike.*la*", "u.attributes->>'dest' ilike '%la%'"),
    Question("category=in.(HA,OO,YV)", "u.category in ('HA', 'OO', 'YV')"),
    Question("category=not.in.(UA,B6,EV,DL)", "u.category not in ('UA', 'B6', 'EV', 'DL')"),
    Question('title=in.("N14228",N24211)', "u.title in ('N14228', 'N24211')"),
    Question("value=in.(1400,1416,99999)", "u.value in (1400, 1416)"),
    Question("id=in.(5,3,9,999999999)&sort=-id", "u.id in (3, 5, 9)", "u.id desc"),
    Question("occurred_at=in.(2013-07-04T10:00Z,2013-07-05T10:00Z)",
             "u.occurred_at in ('2013-07-04 10:00+00', '2013-07-05 10:00+00')"),
    Question("attributes.origin=in.(EWR,LGA)&category=HA",
             "u.attributes->>'origin' in ('EWR', 'LGA') and u.category = 'HA'"),
    Question("title=is.null", "u.title is null"),
    Question("title=is.notnull&value=gt.4000", "u.title is not null and u.value > 4000"),
    Question("title=not.is.null&value=gt.4000", "u.title is not null and u.value > 4000"),
    Question("attributes.air_time=is.null", f"{AIR_TIME} is null"),
    Question("attributes.nowhere.at.all=is.notnull", "false"),
    Question("author=is.null&sort=author", "u.author is null"),
    Question("tags=is.null", "coalesce(cardinality(u.tags), 0) = 0"),
    Question("tags=red", "'red' = any(u.tags)"),
    Question("tags=is.notnull", "cardinality(u.tags) > 0"),
    Question("tags=not.is.null", "cardinality(u.tags) > 0"),
    Question("tags=neq.red", "cardinality(u.tags) > 0 and not 'red' = any(u.tags)"),
    Question("tags=not.eq.red", "cardinality(u.tags) > 0 and not 'red' = any(u.tags)"),
    Question("tags=not.neq.red", "'red' = any(u.tags)"),
    Question("tags=not.in.(red,blue)", "cardinality(u.tags) > 0 and not u.tags && array['red', 'blue']"),
    Question("tags=not.like.gr*",
             "cardinality(u.tags) > 0 and not exists(select from unnest(u.tags) tag where tag like 'gr%')"),
    Question("tags=in.(red,blue)", "u.tags && array['red', 'blue']"),
    Question("tags=like.gr*", "exists(select from unnest(u.tags) tag where tag like 'gr%')"),
    Question("q=n142", "(u.title ilike '%n142%' or u.body ilike '%n142%')"),
    Question("q=_%25", "(u.title like '%\\_\\%%' or u.body like '%\\_\\%%')"),
    # -- orders
    Question("sort=occurred_at", order="u.occurred_at nulls last, u.id"),
    Question("sort=-occurred_at", order="u.occurred_at desc nulls last, u.id desc"),
    Question("sort=title", order="u.title nulls last, u.id"),
    Question("sort=-title", order="u.title desc nulls last, u.id desc"),
    Question("sort=-occurred_at,title", order="u.occurred_at desc nulls last, u.title nulls last, u.id"),
    Question("sort=category,-value", order="u.category nulls last, u.value desc nulls last, u.id desc"),
    Question("sort=-value,category,id", order="u.value desc nulls last, u.category nulls last, u.id"),
    Question("sort=source,-id", order="s.name, u.id desc"),
    Question("sort=-source_type,record_key", order="s.type desc, u.record_key, u.id"),
    Question("sort=attributes.origin,-title",
             order="u.attributes->>'origin' nulls last, u.title desc nulls last, u.id desc"),
    Question("sort=-last_changed_at,unit,-title",
             order="u.last_changed_at desc, u.unit nulls last, u.title desc nulls last, u.id desc"),
    Question("category=HA&sort=-attributes.dep_delay", "u.category = 'HA'",
             f"{DELAY}::numeric desc nulls last, u.id desc"),
    Question("category=UA&attributes.origin=LGA&value=gt.1000&sort=-occurred_at,title,-value",
             "u.category = 'UA' and u.attributes->>'origin' = 'LGA' and u.value > 1000",
             "u.occurred_at desc nulls last, u.title nulls last, u.value desc nulls last, u.id desc"),
]  # fmt: skip


async def ids(connection: Connection, question: Question, limit: int | None = None) -> list[int]:
    """The answer by SQL."""
    rows = await connection.fetch(
        f"select u.id from unified_data u join sources s on s.id = u.source_id "
        f"where u.deleted_at is null and ({question.where}) order by {question.order} limit $1::bigint",
        limit,
    )
    return [row[0] for row in rows]


async def insert_records(connection: Connection) -> None:
    """500 rows of three sources with few distinct values, ties and nulls everywhere, and some deleted ones."""
    await connection.execute("select setseed(0.20131122)")
    await connection.execute("""
        insert into sources (name, type, identity, config_hash)
        values ('flights', 'csv', '{}', ''), ('news', 'rss', '{}', ''), ('rss', 'api', '{}', '');
        create function pg_temp.one_of(variadic texts text[]) returns text language sql volatile
        return nullif(texts[1 + floor(random() * cardinality(texts))::int], '');
        insert into unified_data
            (source_id, record_key, title, body, category, tags, value, unit, occurred_at, entity_key, attributes,
             content_hash, record_hash, raw_id, run_id, pass_id, mapping_version, first_seen_at, last_changed_at,
             deleted_at)
        select (n * 7) % 3 + 1, (n % 10) || '|' || pg_temp.one_of('UA', 'B6') || '|' || n,
               pg_temp.one_of('N14228', 'N24211', 'N10AA', 'N9é', 'NXUA', 'Ünder_%', '', 'n1', ''),
               pg_temp.one_of('', 'N142 \\ body', 'x_%y'),
               pg_temp.one_of('UA', 'B6', 'AA', 'HA', 'EV', 'DL', ''),
               nullif(array_remove(array[pg_temp.one_of('red', ''), pg_temp.one_of('green', 'grey', '')], null),
                      case when n % 2 = 0 then '{}'::text[] end),
               pg_temp.one_of('1400', '1400.0', '1416', '2475', '4983', '99.5', '94', '-3', '200', '')::numeric,
               pg_temp.one_of('mi', 'km', ''),
               pg_temp.one_of('2013-01-01T10:00Z', '2013-07-04T10:00Z', '2013-07-01T05:00:00.000001Z',
                              '2013-12-31T23:59Z', '', '')::timestamptz,
               pg_temp.one_of('e1', 'e2', ''),
               jsonb_strip_nulls(jsonb_build_object(
                   'origin', pg_temp.one_of('JFK', 'LGA', 'EWR', ''), 'dest', pg_temp.one_of('LAX', 'XNA', 'ATL', ''),
                   'air_time', case when n % 5 = 0 then to_jsonb(n)
                               else to_jsonb(pg_temp.one_of('20', '650', 'none', '')) end,
                   'dep_delay', pg_temp.one_of('121', '-4', '130', '9', ''),
                   'flag', case n % 4 when 0 then 'true'::jsonb when 1 then 'false' when 2 then '"true"' end,
                   'deep', jsonb_build_object('list', jsonb_build_array(n % 3, 'x'), 'a.b', n % 2))),
               '', '', n, n / 100 + 1, 1, 1, '2026-01-01T00:00Z'::timestamptz + n / 50 * interval '1 hour',
               '2026-01-02T00:00Z'::timestamptz + n % 7 * interval '1 microsecond',
               case when n % 37 = 0 then now() end
        from generate_series(1, 500) n;
    """)
