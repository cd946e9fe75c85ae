"""Ports for servers that are other processes: a test's own for as long as it lasts, however many run at once."""

import socket
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

import pytest

_ATTEMPTS = 100


@pytest.fixture
def port() -> Iterator[int]:
    """A port of 127.0.0.1, and the one after it: nobody who asks the kernel for any port gets them."""
    with ExitStack() as stack:
        yield _two_neighbours(stack)


def _two_neighbours(stack: ExitStack) -> int:
    """The first of them; the stack holds both."""
    for _ in range(_ATTEMPTS):
        first = stack.enter_context(_bound(0))
        try:
            stack.enter_context(_bound(first + 1))
        except (OSError, OverflowError):
            continue
        return first
    raise RuntimeError(f"no two neighbouring ports were free, {_ATTEMPTS} times")


@contextmanager
def _bound(port: int) -> Generator[int]:
    """Bound, and not listening: only who says SO_REUSEADDR, as servers do, may have the port too.

    The option comes after the binding: the other way round, the kernel would share the port with the next that asks.
    """
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield holder.getsockname()[1]


@pytest.fixture
def other_port() -> Iterator[int]:
    """One more of the same kind."""
    with _bound(0) as port:
        yield port
