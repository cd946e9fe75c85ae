"""What a user without the rights of root may do, also where tests run as root."""

import os
from collections.abc import Generator
from contextlib import contextmanager

NOBODY = 65534


@contextmanager
def unprivileged() -> Generator[None]:
    """Without the rights of root, which reads and writes everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
