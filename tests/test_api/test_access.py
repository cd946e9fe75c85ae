"""Keys and scopes: who may ask, and what a bad key is answered."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from kasparro.api.access import require_admin, require_operate, require_read
from kasparro.api.app import create_app
from kasparro.api.authentication import KeyRing
from kasparro.api.options import ApiOptions
from kasparro.core.api_keys import NewKey, Scope, make_key
from kasparro.core.database import Connection, Pool
from kasparro.core.errors import ConnectionLostError
from kasparro.services import keys

UNKNOWN = "ksp_" + "0" * 12 + "_" + "0" * 64


def client_of(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://kasparro", headers=headers)


def nothing() -> dict[str, str]:
    return {}


def bearer(key: NewKey | str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key if isinstance(key, str) else key.text}"}


async def made(connection: Connection, scope: Scope, **more: Any) -> NewKey:
    """A key of this scope."""
    key = make_key()
    await keys.insert(connection, key, name="test", scope=scope, expires_at=more.get("expires_at"))
    return key


@pytest.fixture
async def app(pool: Pool) -> FastAPI:
    """The application, reading only with a key, and with routes for each scope."""
    app = create_app(pool, ApiOptions(read_key_required=True))
    for path, requirement in (("read", require_read), ("operate", require_operate), ("admin", require_admin)):
        app.get(f"/try/{path}", dependencies=[Depends(requirement)])(nothing)
    return app


@pytest.fixture
async def guarded(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("read", {"read"}), ("operate", {"read", "operate"}), ("admin", {"read", "operate", "admin"})],
)
async def test_a_scope_includes_those_below_it(
    guarded: httpx.AsyncClient, connection: Connection, scope: Scope, allowed: set[str]
) -> None:
    key = await made(connection, scope)
    for path in ("read", "operate", "admin"):
        response = await guarded.get(f"/try/{path}", headers=bearer(key))
        assert (path, response.status_code) == (path, 200 if path in allowed else 403)
        if path not in allowed:
            assert response.json()["code"] == "forbidden"
            expected = f'Bearer realm="kasparro", error="insufficient_scope", scope="{path}"'
            assert response.headers["www-authenticate"] == expected


async def test_without_a_key_guarded_routes_ask_for_one(guarded: httpx.AsyncClient) -> None:
    for path in ("/data", "/try/read", "/try/operate", "/try/admin"):
        response = await guarded.get(path)
        assert (path, response.status_code, response.json()["code"]) == (path, 401, "unauthorized")
        assert response.headers["www-authenticate"] == 'Bearer realm="kasparro"'


async def test_reading_is_open_unless_told_otherwise_and_operating_never_is(pool: Pool) -> None:
    app = create_app(pool)
    app.get("/try/operate", dependencies=[Depends(require_operate)])(nothing)
    async with client_of(app) as client:
        assert (await client.get("/data")).status_code == 200
        assert (await client.get("/try/operate")).status_code == 401


async def test_every_bad_key_gets_one_and_the_same_answer_everywhere(pool: Pool, connection: Connection) -> None:
    good, revoked = await made(connection, "read"), await made(connection, "admin")
    expired = await made(connection, "admin", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await keys.revoke(connection, revoked.id)
    bad = [
        UNKNOWN, revoked.text, expired.text, good.text[:-1], f"{good.text}0", good.text.upper(), "x", "",
        f"ksp_{good.id}_{'0' * 64}", f"ksp_{'0' * 12}_{good.text[-64:]}", f"{good.text} {good.text}",
    ]  # fmt: skip
    answers: set[tuple[int, str, str, str]] = set()
    async with client_of(create_app(pool)) as client:
        for text in bad:
            for path in ("/data", "/health", "/nowhere"):
                response = await client.get(path, headers=bearer(text))
                problem = response.json()
                challenge = response.headers["www-authenticate"]
                answers.add((response.status_code, problem["code"], problem["detail"], challenge))
        assert (await client.get("/data", headers=bearer(good))).status_code == 200
    assert answers == {
        (
            401, "unauthorized", "the key is not valid: it is malformed, unknown, expired or revoked",
            'Bearer realm="kasparro", error="invalid_token"',
        )
    }  # fmt: skip


async def test_the_scheme_is_read_in_any_case_and_no_other_scheme_is_known(
    guarded: httpx.AsyncClient, connection: Connection
) -> None:
    key = await made(connection, "read")
    for scheme, status in (("bearer", 200), ("BEARER", 200), ("Bearer ", 200), ("Basic", 401), ("Token", 401)):
        response = await guarded.get("/data", headers={"Authorization": f"{scheme} {key.text}"})
        assert (scheme, response.status_code) == (scheme, status)


async def test_a_key_in_the_query_string_is_no_key(guarded: httpx.AsyncClient, connection: Connection) -> None:
    key = await made(connection, "read")
    for name in ("key", "api_key", "access_token", "Authorization"):
        response = await guarded.get("/data", params={name: key.text})
        assert (response.status_code, key.text in response.text) == (401, False)


async def test_two_authorization_headers_are_refused(guarded: httpx.AsyncClient, connection: Connection) -> None:
    value = bearer(await made(connection, "read"))["Authorization"]
    assert (await guarded.get("/data", headers=[("Authorization", value)] * 2)).status_code == 401


async def test_a_good_key_costs_one_question_and_a_revoked_one_stops_soon(
    guarded: httpx.AsyncClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kasparro.api import authentication

    key = await made(connection, "read")
    assert (await guarded.get("/try/read", headers=bearer(key))).status_code == 200
    await keys.revoke(connection, key.id)
    assert (await guarded.get("/try/read", headers=bearer(key))).status_code == 200
    assert authentication.FRESH_SECONDS == 5
    monkeypatch.setattr(authentication, "FRESH_SECONDS", 0)
    assert (await guarded.get("/try/read", headers=bearer(key))).status_code == 401


async def test_a_key_that_cannot_be_checked_lets_nobody_in(
    guarded: httpx.AsyncClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_ring: KeyRing, _key: object) -> None:
        raise ConnectionLostError("gone")

    key = await made(connection, "admin")
    monkeypatch.setattr(KeyRing, "check", unreachable)
    response = await guarded.get("/data", headers=bearer(key))
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    health = await guarded.get("/health", headers=bearer(key))
    assert (health.status_code, health.json()["status"], health.json()["sources"]) == (200, "ok", None)


async def test_probes_look_at_no_key(guarded: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health/ready"):
        assert (await guarded.get(path, headers=bearer("nonsense"))).status_code != 401


async def test_secrets_are_stored_as_hashes_only(connection: Connection) -> None:
    key = await made(connection, "read")
    row = await connection.fetchrow("select * from api_keys")
    assert row is not None
    assert len(row["secret_sha256"]) == 32
    assert key.text[-64:] not in str(dict(row))
    assert bytes.fromhex(key.text[-64:]) not in row.values()
    assert key.text not in repr(key)
