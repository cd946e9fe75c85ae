"""`kasparro keys create|list|revoke`: who may use the API."""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.errors import UsageError

if TYPE_CHECKING:
    from kasparro.services.keys import ApiKey

_LISTED: Final = ("id", "name", "scope", "state", "created_at", "expires_at", "revoked_at")
_LONGEST_NAME: Final = 100
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?", re.ASCII)


class KeyScope(StrEnum):
    """What a key allows; each includes those before it."""

    read = "read"
    operate = "operate"
    admin = "admin"


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Who or what will hold the key.")]
ScopeOption = Annotated[
    KeyScope, typer.Option("--scope", help="What it allows: read, operate (also start runs), admin (everything).")
]
ExpiresOption = Annotated[
    str | None,
    typer.Option("--expires", metavar="WHEN", help="After a time (90d, 12h) or at a date (2027-01-31); else never."),
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The key's id; the whole key is understood as well.")]


@command(example="kasparro keys create dashboard --scope read --expires 90d")
async def create_key(context: Context, name: NameArgument, scope: ScopeOption, expires: ExpiresOption = None) -> Result:
    """Make a key and print it, this once: only a hash of its secret is kept."""
    from kasparro.core.api_keys import make_key
    from kasparro.services import keys

    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise UsageError(f"NAME has 1 to {_LONGEST_NAME} printable characters")
    expires_at = None if expires is None else _expiry(expires, datetime.now(UTC))
    key = make_key()
    async with connected(context, "keys") as connection:
        kept = await keys.insert(connection, key, name=name, scope=scope.value, expires_at=expires_at)
    until = "until it is revoked" if expires_at is None else f"until {expires_at:%Y-%m-%d %H:%M:%S}Z"
    context.note(f"key {key.id} for {name}, scope {scope.value}, {until}; it is not shown again:")
    return Result({**_as_data(kept), "key": key.text}, [key.text])


@command(example="kasparro keys list")
async def list_keys(context: Context) -> Result:
    """Show every key that was ever made, the oldest first; never a secret."""
    from kasparro.services import keys

    async with connected(context, "keys") as connection:
        rows = [_as_data(key) for key in await keys.list_all(connection)]
    return Result(rows, [Table(_LISTED, [[row[name] for name in _LISTED] for row in rows])] if rows else ["no key yet"])


@command(example="kasparro keys revoke 3f9c2a7b1d05")
async def revoke_key(context: Context, key: IdArgument) -> Result:
    """End a key for good. Running servers stop taking it within five seconds."""
    from kasparro.core.api_keys import read_key
    from kasparro.services import keys

    whole = read_key(key)
    async with connected(context, "keys") as connection:
        return Result(_as_data(await keys.revoke(connection, key if whole is None else whole.id)))


def _as_data(key: "ApiKey") -> dict[str, Any]:
    """A key for people and programs; `scope` is the widest that it grants."""
    row = asdict(key)
    granted: list[str] = row.pop("scopes")
    widest = [scope.value for scope in KeyScope if scope.value in granted][-1:]
    return {"id": row["id"], "name": row["name"], "scope": widest[0] if widest else None, **row}


def _expiry(text: str, now: datetime) -> datetime:
    """When a key ends, given as a time from now or as a date (its beginning) or moment, which is in UTC by default."""
    from kasparro.schemas.configuration.times import parse_duration

    try:
        expiry = _moment(text) if _DATE.fullmatch(text) else now + parse_duration(text)
    except ValueError as error:
        raise UsageError(
            f"--expires: {text!r} is neither a time of weeks, days, hours, minutes or seconds (52w, 90d, 12h, 30m, "
            "45s; ten years at most) nor a date such as 2027-01-31"
        ) from error
    if expiry <= now:
        raise UsageError(f"--expires: {text} has passed")
    return expiry


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
