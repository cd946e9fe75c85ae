"""Documents of every format, and documents that are none, as the parser's process reads them."""

import io
import json

import pytest

from kasparro.ingestion.sources.rss.child import serve
from kasparro.ingestion.sources.rss.document import Document, Request, parse_document
from kasparro.ingestion.sources.rss.entry import Entry
from kasparro.ingestion.sources.rss.errors import NoFeedError
from tests.feeds import rss

FEED = "https://example.org/feed.xml"
RSS_091 = b"""<?xml version="1.0"?>
<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.netscape.com/publish/formats/rss-0.91.dtd">
<rss version="0.91"><channel><title>Old</title>
<item><title>One</title><link>http://example.org/1</link><description>First</description></item></channel></rss>"""
RDF = b"""<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="http://example.org/"><title>R</title></channel>
<item rdf:about="http://example.org/one"><title>One</title><link>http://example.org/1</link>
<dc:creator>Ann</dc:creator><dc:date>2004-05-01T10:00:00+02:00</dc:date></item></rdf:RDF>"""
ATOM_03 = b"""<feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>A</title><entry><title>One</title>
<link rel="alternate" type="text/html" href="http://example.org/1"/><id>tag:example.org,2004:1</id>
<issued>2004-05-01T10:00:00Z</issued><modified>2004-05-02T10:00:00Z</modified></entry></feed>"""
ATOM_10 = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de" xml:base="http://example.org/"><title>A</title><entry>
<title type="html">Ein &lt;b&gt;Titel&lt;/b&gt;</title><id>urn:1</id><link href="eins"/>
<link rel="enclosure" href="ton.mp3" type="audio/mpeg" length="12"/>
<author><name>Ann</name><email>ann@example.org</email><uri>http://example.org/ann</uri></author>
<category term="t" scheme="http://example.org/s" label="T"/><published>2004-05-01T10:00:00Z</published>
<updated>2004-05-02T10:00:00</updated><summary>Kurz</summary>
<content type="html">&lt;p&gt;Lang &lt;img src="b.png"&gt; ä&lt;/p&gt;</content></entry></feed>""".encode()


def parse(body: bytes, content_type: str = "application/xml") -> Document:
    return parse_document(body, Request(FEED, content_type, "auto"))


def only(body: bytes, content_type: str = "application/xml") -> Entry:
    (entry,) = parse(body, content_type).entries
    return entry


def refusal(body: bytes) -> str:
    with pytest.raises(NoFeedError) as caught:
        parse(body)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (RSS_091, (None, "http://example.org/1", "One")),
        (RSS_091.replace(b"0.91", b"0.92"), (None, "http://example.org/1", "One")),
        (rss("<guid>/g</guid><title>One</title>"), ("/g", "https://example.org/g", "One")),
        (rss('<guid isPermaLink="false">g</guid><title>One</title>'), ("g", None, "One")),
        (RDF, ("http://example.org/one", "http://example.org/1", "One")),
        (ATOM_03, ("tag:example.org,2004:1", "http://example.org/1", "One")),
        (ATOM_10, ("urn:1", "http://example.org/eins", "Ein <b>Titel</b>")),
    ],
    ids=["rss 0.91", "rss 0.92", "rss 2.0", "rss 2.0 without permalink", "rdf", "atom 0.3", "atom 1.0"],
)
def test_formats_of_xml(body: bytes, told: tuple[str | None, ...]) -> None:
    entry = only(body)
    assert (entry["guid"], entry["link"], entry["title"]) == told


def test_an_atom_entry_is_kept_whole() -> None:
    entry = only(ATOM_10)
    assert entry["title_type"] == "text/html"
    assert entry["authors"] == [{"name": "Ann", "email": "ann@example.org", "url": "http://example.org/ann"}]
    assert entry["categories"] == [{"term": "t", "scheme": "http://example.org/s", "label": "T"}]
    assert entry["enclosures"] == [{"url": "http://example.org/ton.mp3", "type": "audio/mpeg", "length": "12"}]
    assert (entry["published"], entry["published_parsed"]) == ("2004-05-01T10:00:00Z", "2004-05-01T10:00:00Z")
    assert (entry["updated"], entry["updated_parsed"]) == ("2004-05-02T10:00:00", "2004-05-02T10:00:00")
    assert (entry["summary"], entry["language"], entry["base"]) == ("Kurz", "de", "http://example.org/")
    assert entry["content"] == [{"type": "text/html", "value": '<p>Lang <img src="b.png"> ä</p>'}]
    assert entry.get("feed") == {"url": FEED, "title": "A"}


def test_markup_stays_in_the_payload_as_it_came() -> None:
    entry = only(rss("<title>x</title><description>&lt;script&gt;evil()&lt;/script&gt;&lt;p&gt;a</description>"))
    assert entry["summary"] == "<script>evil()</script><p>a"


def test_every_entry_has_all_members() -> None:
    assert set(only(rss("<title>x</title>"))) == set(Entry.__annotations__)
    feed = {"version": "https://jsonfeed.org/version/1", "items": [{}]}
    assert set(only(json.dumps(feed).encode())) == set(Entry.__annotations__)


def test_content_beside_a_description_is_no_summary() -> None:
    head = 'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    body = rss("<title>x</title><content:encoded>long</content:encoded>").replace(b"<rss ", f"<rss {head} ".encode())
    entry = only(body)
    assert (entry["summary"], entry["content"]) == (None, [{"type": "text/html", "value": "long"}])


@pytest.mark.parametrize("version", ["https://jsonfeed.org/version/1", "https://jsonfeed.org/version/1.1"])
def test_json_feed(version: str) -> None:
    item = {
        "id": 7, "url": "/7", "title": "T", "content_html": "<p>ä", "content_text": "ä", "summary": "S",
        "tags": ["a", 1],
        "date_published": "2024-01-03T12:00:00+01:00", "date_modified": "gestern", "author": {"name": "Ann"},
        "attachments": [{"url": "/a.mp3", "mime_type": "audio/mpeg", "size_in_bytes": 12}, {"mime_type": "x"}, 3],
    }  # fmt: skip
    feed = {"version": version, "title": "F", "language": "de", "items": [item, "no item"]}
    entry = only(json.dumps(feed).encode("utf-8-sig"), "application/feed+json")
    assert (entry["guid"], entry["link"], entry["title"]) == ("7", "https://example.org/7", "T")
    assert entry["content"] == [{"type": "text/html", "value": "<p>ä"}, {"type": "text/plain", "value": "ä"}]
    assert entry["authors"] == [{"name": "Ann", "email": None, "url": None}]
    assert entry["enclosures"] == [{"url": "https://example.org/a.mp3", "type": "audio/mpeg", "length": "12"}]
    assert (entry["published_parsed"], entry["updated"]) == ("2024-01-03T11:00:00Z", "gestern")
    assert (entry["updated_parsed"], entry["language"]) == (None, "de")
    assert entry["categories"] == [{"term": "a", "scheme": None, "label": None}]
    assert entry.get("feed") == {"url": FEED, "title": "F"}


@pytest.mark.parametrize(
    ("declared", "encoding", "content_type"),
    [
        ("utf-8", "utf-8", "application/xml"),
        ("iso-8859-1", "iso-8859-1", "application/xml"),
        ("utf-8", "windows-1252", "application/rss+xml; charset=windows-1252"),
        ("utf-16", "utf-16", "application/xml"),
        ("utf-8", "utf-8", "text/html"),
    ],
)
def test_encodings(declared: str, encoding: str, content_type: str) -> None:
    text = f'<?xml version="1.0" encoding="{declared}"?><rss version="2.0"><channel><item><title>Zürich'
    body = f"{text}</title></item></channel></rss>".encode(encoding)
    assert only(body, content_type)["title"] == "Zürich"


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00" * 100])
def test_an_empty_document_is_refused(body: bytes) -> None:
    assert refusal(body) == "is empty"


def test_a_page_instead_of_a_feed_is_refused_with_its_first_200_characters() -> None:
    page = b"<!-- x --><!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>" + b"word " * 100
    message = refusal(page)
    shown = message.removeprefix("is an HTML page, not a feed; it begins with: ")
    assert shown.startswith("<!-- x --><!DOCTYPE html> <html><head><title>Sign in</title></head><body>word word")
    assert len(shown) == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"no markup", "is no feed (line 1: syntax error); it begins with: no markup"),
        (b"<opml/>", "is no feed; it begins with: <opml/>"),
        (b'{"a": 1', 'is not valid JSON (EOF while parsing an object at line 1 column 7); it begins with: {"a": 1'),
        (b'{"a": 1}', 'is JSON, but no JSON Feed (version, items); it begins with: {"a": 1}'),
        (b"[1, 2]", "is JSON, but no feed; it begins with: [1, 2]"),
        (
            b'{"version": NaN}',
            'is not valid JSON (expected value at line 1 column 13); it begins with: {"version": NaN}',
        ),
    ],
)
def test_other_documents_are_refused_with_a_reason(body: bytes, message: str) -> None:
    assert refusal(body) == message


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">',
        '<!ENTITY b SYSTEM "file:///etc/passwd">',
        '<!ENTITY b PUBLIC "x" "http://127.0.0.1/">',
        '<!ENTITY % b "x">',
        f'<!ENTITY b "{"x" * 20_000}">',
        "<!ENTITY b '&#37;c;&c;'>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_that_expand_or_reach_outside_are_refused(declaration: str, encoding: str) -> None:
    text = (
        f'<!DOCTYPE rss [ {declaration} ]><rss version="2.0"><channel><item><title>&b;</title></item></channel></rss>'
    )
    assert refusal(text.encode(encoding)) == "defines the entity 'b', which expands or reaches outside: not parsed"


def test_harmless_entities_and_talk_about_entities_are_read() -> None:
    text = '<!DOCTYPE rss [ <!ENTITY uuml "&#252;"> ]><rss version="2.0"><channel><item><title>Z&uuml;rich</title>'
    text += "<description><![CDATA[<!DOCTYPE x [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>]]></description>"
    entry = only(f"{text}</item></channel></rss>".encode())
    assert entry["title"] == "Zürich"
    assert "/etc/passwd" in (entry["summary"] or "")


def test_a_document_that_is_not_well_formed_is_read_as_far_as_possible() -> None:
    document = parse(rss("<title>One</title>", "<title>Two & three</title>")[:-16])
    assert [entry["title"] for entry in document.entries] == ["One", "Two & three"]
    assert (document.malformed, document.cut) == ("line 4: not well-formed (invalid token)", False)


ITEMS = tuple(f"<guid>{n}</guid><title>Entry {n}</title><description>Text é {n}</description>" for n in (1, 2, 3))
ATOM = (
    b'<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title>'
    b'<entry><id>1</id><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>One</p></div></content></entry>'
    b'<entry><id>2</id><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Two</p></div></content></entry>'
    b"</feed>"
)

RDF_TWO = RDF.replace(b"</rdf:RDF>", RDF[RDF.index(b"<item") :].replace(b"/one", b"/two"))


def ends_of_last(body: bytes, begin: bytes, end: bytes) -> range:
    """Every length at which a document is cut inside its last entry."""
    return range(body.rindex(begin) + len(begin), body.rindex(end) + len(end))


def test_an_entry_in_which_the_document_breaks_off_is_left_out_wherever_that_is() -> None:
    whole = parse(rss(*ITEMS)).entries
    for length in ends_of_last(rss(*ITEMS), b"<item>", b"</item>"):
        document = parse(rss(*ITEMS)[:length])
        assert (document.entries, document.cut) == (whole[:2], True), length
        assert document.malformed
    whole = parse(RDF_TWO).entries
    for length in ends_of_last(RDF_TWO, b'<item rdf:about="http://example.org/two">', b"</item>"):
        document = parse(RDF_TWO[:length])
        assert (document.entries, document.cut) == (whole[:1], True), length
    whole = parse(ATOM).entries
    for length in ends_of_last(ATOM, b"<entry>", b"</entry>"):
        document = parse(ATOM[:length])
        assert (document.entries, document.cut) == (whole[:1], True), length


def test_entries_that_are_whole_stay_when_a_document_breaks_off_behind_them() -> None:
    for length in range(rss(*ITEMS).rindex(b"</item>") + len(b"</item>"), len(rss(*ITEMS))):
        document = parse(rss(*ITEMS)[:length])
        assert (document.entries, document.cut) == (parse(rss(*ITEMS)).entries, False), length


@pytest.mark.parametrize("swallows", [b"<![CDATA[Text", b"<!--Text"])
def test_an_entry_that_swallows_the_rest_is_left_out(swallows: bytes) -> None:
    document = parse(rss(*ITEMS[:2]).replace(b"Text \xc3\xa9 2", swallows))
    assert ([entry["guid"] for entry in document.entries], document.cut) == (["1"], True)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        pytest.param(b"Text \xc3\xa9 2", b"a & b", id="bare ampersand"),
        pytest.param(b"Text \xc3\xa9 2", b"a &nbsp; b", id="unknown entity"),
        pytest.param(b"Text \xc3\xa9 3", b"a \xe9 b", id="bad encoding in the last entry"),
        pytest.param(b"</description></item>\n</channel>", b"</item>\n</channel>", id="last element not closed"),
        pytest.param(b"</item>\n</channel>", b"\n</channel>", id="last entry not closed"),
        pytest.param(b"</channel></rss>", b"</rss>", id="channel not closed"),
    ],
)
def test_documents_malformed_otherwise_keep_all_entries(good: bytes, bad: bytes) -> None:
    body = rss(*ITEMS)
    assert good in body
    document = parse(body.replace(good, bad))
    assert ([entry["guid"] for entry in document.entries], document.cut) == (["1", "2", "3"], False)


def test_a_blank_line_before_the_declaration_is_no_fault() -> None:
    document = parse(b"\r\n\n" + rss("<title>One</title>"))
    assert (len(document.entries), document.malformed) == (1, None)


def test_a_feed_without_entries_is_a_feed() -> None:
    document = parse(rss(head="<ttl>90</ttl>"))
    assert (document.entries, document.ttl_minutes, document.malformed) == ([], 90, None)


@pytest.mark.parametrize(
    "body",
    [b"<" * 50_000, b"<a " * 20_000, b"&" * 50_000, b"<rss><item><title>" * 2000, b"[" * 100_000, b'{"a":' * 100_000,
     bytes(range(256)) * 40, b"<rss><![CDATA[" * 5000],
    ids=["angles", "open tags", "ampersands", "nested", "brackets", "objects", "binary", "open cdata"],
)  # fmt: skip
def test_hostile_bytes_give_entries_or_a_refusal(body: bytes) -> None:
    try:
        assert isinstance(parse(body).entries, list)
    except NoFeedError as refused:
        reason = str(refused)
        assert "it begins with" in reason


def test_the_parser_serves_one_document_after_another() -> None:
    good, bad = rss("<guid>1</guid>"), b"<html>"
    about = {"feed": FEED, "content_type": None, "identity": "auto"}
    requests = io.BytesIO(b"".join(json.dumps([len(body), about]).encode() + b"\n" + body for body in (bad, good)))
    answers = io.BytesIO()
    serve(requests, answers, 60)
    answers.seek(0)
    first, second = (answers.read(int(answers.readline())).split(b"\n") for _ in range(2))
    assert [json.loads(line) for line in first] == [{"error": "is an HTML page, not a feed; it begins with: <html>"}]
    assert [json.loads(line).get("guid") for line in second] == [None, "1"]
