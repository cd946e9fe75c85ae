"""What a request may do: dependencies for routes that read, operate or administer.

`api.gate` has looked at the key before any route is called, and answered a bad one with 401; here is only asked what
it grants. A scope includes those below it: admin, operate, read.
"""

from typing import Final, cast

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from kasparro.api.authentication import KeyHolder
from kasparro.api.options import ApiOptions
from kasparro.core.api_keys import Scope
from kasparro.core.errors import ForbiddenError, UnauthorizedError

SCHEME_NAME: Final = "key"


def key_holder(request: Request) -> KeyHolder | None:
    """Who presented a good key; None when there was none."""
    return cast("KeyHolder | None", getattr(request.state, "holder", None))


async def may_read(request: Request) -> bool:
    """Whether reading is open, or the key allows it."""
    return not _needs_key(request) or _grants(key_holder(request), "read")


class Require(SecurityBase):
    """A dependency that lets requests pass whose key grants a scope; stands in /openapi.json as its security."""

    def __init__(self, scope: Scope) -> None:
        self.model = HTTPBearer(bearerFormat="ksp_<id>_<secret>", description="A key made by `kasparro keys create`.")
        self.scheme_name = SCHEME_NAME
        self._scope: Scope = scope

    async def __call__(self, request: Request) -> None:
        """Raises UnauthorizedError without a key, ForbiddenError for one that does not grant the scope."""
        if self._scope == "read" and not _needs_key(request):
            return
        holder = key_holder(request)
        if holder is None:
            raise UnauthorizedError("this needs a key", hint="send it as `Authorization: Bearer ksp_<id>_<secret>`")
        if not _grants(holder, self._scope):
            raise ForbiddenError(f"the key does not grant the scope {self._scope!r}", scope=self._scope)


def _needs_key(request: Request) -> bool:
    return cast("ApiOptions", request.app.state.options).read_key_required


def _grants(holder: KeyHolder | None, scope: Scope) -> bool:
    return holder is not None and scope in holder.scopes


require_read: Final = Require("read")
require_operate: Final = Require("operate")
require_admin: Final = Require("admin")
