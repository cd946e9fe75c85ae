"""128-bit hashes of whole columns: the same bytes as `core/canonical.py` gives one by one."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from hashlib import blake2b
from itertools import pairwise

import pyarrow as pa

from kasparro.core.canonical import HASH_SIZE


def hash_texts(texts: pa.Array) -> list[bytes]:
    """`hash_text` of each text of a string column without nulls."""
    _, offsets, data = texts.buffers()
    if offsets is None or data is None or len(texts) == 0:
        return [blake2b(b"", digest_size=HASH_SIZE).digest()] * len(texts)
    ends = memoryview(offsets).cast("i")[texts.offset : texts.offset + len(texts) + 1].tolist()
    content = data.to_pybytes()
    return [blake2b(content[begin:end], digest_size=HASH_SIZE).digest() for begin, end in pairwise(ends)]
