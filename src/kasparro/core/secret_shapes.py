"""What secrets look like wherever they stand, registered or not: by the name before them, or by their own shape.

The shapes are those that secret scanners know (gitleaks, detect-secrets), without their guesses by entropy: a log says
hashes and ids in plenty. Every search is linear in the text's length and begins with a look for a word that it needs.
"""

import re
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"
_I: Final = re.IGNORECASE

_SCHEME: Final = r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://"
_URL_CREDENTIALS: Final = re.compile(rf"(?P<keep>{_SCHEME})(?!user:password@host\b)[^\s/?#\"']*@", _I)
"""`user:password@host` is what our own hints write for them."""
_DATABASE_CREDENTIALS: Final = re.compile(
    r"(?P<keep>(?:postgres(?:ql)?|mysql|mariadb|rediss?|amqps?|mongodb)(?:\+\w{1,20})?://)(?!user:password@host\b)"
    r"[^\s:/@\"']{0,200}:(?!\d{1,5}/)[^\s\"']{0,500}@",
    _I,
)
"""Passwords that were not quoted, with a slash or a question mark in them."""

_PLACE: Final = "".join(
    f"(?<!{word})(?<!{word}[-_])" for word in ("page", "next", "continuation", "sync", "cursor", "resume")
)
_NAME: Final = (
    r"[\w.$-]{0,64}?(?:passw(?:or)?d|passphrase|pwd|secret(?:[-_]?(?:access[-_]?)?key)?"
    rf"|{_PLACE}token|credentials?|signature|(?<![a-z])(?:sig|pass|pw|jwt|appid|auth)|(?:sess(?:ion)?)[-_]?id"
    r"|(?:api|access|account|private|signing|master|encryption|subscription|auth|license)[-_]?key"
    r"|webhook[-_]?url|connection[-_]?string|authorization|cookie)"
)
"""A name that ends in one of these words; a token that says where a list goes on is none."""
_UNLIKELY: Final = r"(?!\*\*\*|value pairs\b|\$\{\w+\}(?:[&#\s\"';,]|$)|(?:null|none|true|false)\b)"
_SINGLE: Final = r"'(?:[^'\\\n]|\\.|'')*'?"
_DOUBLE: Final = r'"(?:[^"\\\n]|\\.)*"?'
_IN_QUERY: Final = r"(?:(?:[^&#;\s\"']|;(?!\w{1,40}=))*[^&#\s\"':;,.)\]}>]|[^&#\s\"']+)"
_BARE: Final = (
    r"(?:(?:\\.|[^\s\"'\\;]|;(?![A-Za-z ]{1,40}=)|[\"'](?=[^\s\"',;:.)\]}>]))*(?:\\.|[^\s\"'\\:;,.)\]}>&])|[^\s\"']+)"
)
"""Punctuation at the end is the sentence's, as in `https://host/?token=...: 404`."""
_RANDOM: Final = r"(?=[^\s\"',;]{0,200}\d)[^\s\"',;]{7,}[^\s\"',;:.)\]}>]"
"""What stands after a colon in prose is a secret only if it is long and has a digit."""
_QUERY: Final = re.compile(rf"(?P<keep>[?&;](?:{_NAME}|key)=){_UNLIKELY}{_IN_QUERY}", _I)
_ASSIGNED: Final = re.compile(
    rf"(?P<keep>(?<![\w.$?&;-])(?:(?:{_NAME}|key)=|{_NAME}\s+=\s+(?=['\"]|{_RANDOM})))(?![=>]){_UNLIKELY}"
    rf"(?:{_SINGLE}|{_DOUBLE}|{_BARE})",
    _I,
)
"""Also libpq's keywords: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE."""
_IN_JSON: Final = re.compile(
    rf"(?P<keep>(?P<quote>\\*[\"']){_NAME}(?P=quote)\s*:\s*){_UNLIKELY}"
    rf"(?:b?(?:{_SINGLE}|{_DOUBLE})|\\+\"(?:(?!\\+\").)*(?:\\+\")?|[^\s\"',}}\]\[{{]+)",
    _I,
)
_PAIR: Final = re.compile(rf"(?P<keep>b?[\"']{_NAME}[\"']\s*,\s*b?[\"']){_UNLIKELY}{_RANDOM}", _I)
"""A header as pairs hold it: `(b'x-api-key', b'...')`."""
_AFTER_COLON: Final = re.compile(
    rf"(?P<keep>(?<![\w.$-]){_NAME}\s*:\s*){_UNLIKELY}(?:(?=['\"][^'\"]){_SINGLE}|{_DOUBLE}|{_RANDOM})", _I
)
_COOKIE: Final = re.compile(r"(?P<keep>(?<![\w-])(?:set-)?cookie\s*[:=]\s*)(?=[^\s=;\"']{1,64}=)[^\"'\r\n]+", _I)
_HEADER: Final = re.compile(
    r"(?P<keep>(?<![\w-])(?:proxy-)?authorization\s*[:=]\s*"
    r"(?:token|digest|apikey|negotiate|ntlm|hawk|aws4-hmac-sha256|[a-z]{1,20}(?==))\s*)[^\s\"'](?:[^\"'\r\n]|(?<==)\"[^\"\r\n]*\")*",
    _I,
)
_BEARER: Final = re.compile(
    r"(?P<keep>\b(?:bearer|basic)(?:\s+|%20|\+))"
    r"(?!(?:auth\w*|tokens?|credentials?|challenges?|scheme|headers?|passwords?|functions?|realm=\S*)(?:[\s.,;:)\"']|$))"
    r"[A-Za-z0-9._~+/=-]{8,}",
    _I,
)
_OPTION: Final = re.compile(rf"(?P<keep>(?<!\S)(?:--{_NAME}\s+|(?:-u|--user)\s+[^\s:\"']+:)){_UNLIKELY}(?!-)\S+", _I)
_ELEMENT: Final = re.compile(rf"(?P<keep><(?:\w{{1,32}}:)?{_NAME}(?:\s[^<>]*)?>)(?!\s*<)[^<]+", _I)
_IN_SQL: Final = re.compile(r"(?P<keep>\bpassword\s+)'(?:[^']|'')*'?", _I)
_NAMED: Final = (_IN_JSON, _COOKIE, _HEADER, _QUERY, _ASSIGNED, _AFTER_COLON, _PAIR, _OPTION, _ELEMENT, _IN_SQL)
_NAMED_BY: Final = (
    "pass", "pwd", "pw=", "token", "secret", "key", "sig", "auth", "cookie", "credential", "jwt", "appid", "session",
    "sessid", "webhook", "connection", "-u ", "--user",
)  # fmt: skip
_MAY_BE_NAMED: Final = re.compile(
    r"(?:d|e|pw?d|pw|ss|secret|token|credentials?|sig|jwt|appid|auth|id|key|url|string|authorization)"
    r"(?:\\*[\"'])?(?:\s{0,8}[=:,]|\s[^<>]*>|>)|password\s+'|(?<!\S)(?:--[a-z]|-u\s)"
)
"""What all of these shapes have, of a text in lower case: most texts that speak of keys and tokens show none."""

_TOKENS: Final = re.compile(
    r"(?P<keep>ksp_[0-9a-fA-F]{12}_)[0-9a-fA-F]{8,}"
    r"|(?P<path>hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/\d{1,32}/"
    r"|webhook\.office\.com/webhookb2/|hooks\.zapier\.com/hooks/catch/|/with/key/)[\w/@.-]{6,}"
    r"|(?P<bot>api\.telegram\.org/(?:file/)?bot)\d{5,16}(?::|%3[aA])[\w-]{20,}"
    r"|(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}(?![A-Z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[\w-]{20,}"
    r"|xox[a-z]-(?:\d-)?[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}"
    r"|(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}"
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{20,}"
    r"|eyJ[\w-]{8,}\.(?:eyJ)?[\w-]{8,}(?:\.[\w-]*)?"
    r"|sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|key-[0-9a-f]{32}|SK[0-9a-f]{32}(?![0-9a-f])|sq0(?:atp|csp)-[\w-]{22,}"
    r"|do[opr]_v1_[0-9a-f]{64}|dapi[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|hv[sbr]\.[\w-]{20,}|s\.[A-Za-z0-9]{24}\b"
    r"|gls?a_\w{30,}|glc_[\w+/=]{30,}|NRAK-[A-Z0-9]{27}|lin_api_\w{30,}|ntn_\w{40,}|AGE-SECRET-KEY-1[0-9A-Z]{50,}"
    r"|\d{8,10}:AA[\w-]{32,33}(?![\w-])"
    r")"
)
_TOKENS_BY: Final = (
    "ksp_", "hook", "/with/key/", "bot", "AKIA", "ASIA", "ABIA", "ACCA", "A3T", "gh", "github", "gl", "xox", "xapp-",
    "_live_", "_test_", "_prod_", "whsec_",
    "AIza", "ya29.", "GOCSPX-", "1//0", "eyJ", "sk-", "hf_", "npm_", "pypi-", "SG.",
    "key-", "SK", "sq0", "_v1_", "dapi", "shp", "hv", "s.", "NRAK-", "lin_api_", "ntn_", "AGE-", ":AA",
)  # fmt: skip
_PEM: Final = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----(?:(?!-----END).)*(?:-----END (?P=kind)-----)?",
    re.DOTALL,
)
_QUOTED: Final = re.compile(r"[^\s\"'<>]*%[0-9A-Fa-f]{2}[^\s\"'<>]*")
_MOST_UNQUOTING: Final = 2


def mask_shapes(text: str) -> str:
    """The text without what looks like a secret; `***` stands in its place, behind the name that gave it away."""
    shown = _mask_plain(text)
    return _QUOTED.sub(_unquoted, shown) if "%" in shown else shown


def _mask_plain(text: str) -> str:
    if "-----BEGIN" in text:
        text = _PEM.sub(lambda found: f"-----BEGIN {found['kind']}-----{MASK}", text)
    if "://" in text:
        text = _URL_CREDENTIALS.sub(_masked, text)
        text = _DATABASE_CREDENTIALS.sub(lambda found: f"{found['keep']}{MASK}@", text)
    lower = text.lower()
    if "bearer" in lower or "basic" in lower:
        text = _BEARER.sub(_masked, text)
    if _holds(lower, _NAMED_BY) and _MAY_BE_NAMED.search(lower):
        for shape in _NAMED:
            text = shape.sub(_masked, text)
    return _TOKENS.sub(_masked, text) if _holds(text, _TOKENS_BY) else text


def _holds(text: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110  a generator costs three times as much
        if word in text:
            return True
    return False


def _masked(found: "re.Match[str]") -> str:
    groups = found.groupdict()
    kept = groups.get("keep") or groups.get("path") or groups.get("bot") or ""
    return f"{kept}{MASK}{'@' if found[0].endswith('@') and kept.endswith('://') else ''}"


def _unquoted(found: "re.Match[str]") -> str:
    """The word as it is; where it holds a secret once it is unquoted, that, masked."""
    word = read = found[0]
    for _ in range(_MOST_UNQUOTING):
        read, before = unquote(read), read
        if read == before:
            break
        if (shown := _mask_plain(read)) != read:
            return shown
    return word
