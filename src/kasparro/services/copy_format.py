"""Arrow record batches in PostgreSQL's binary COPY format (https://www.postgresql.org/docs/current/sql-copy.html)."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownLambdaType=false

from collections.abc import Collection

import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb

JSON_COLUMNS = frozenset({"payload", "attributes"})


def encode(rows: pa.RecordBatch, *, json_columns: Collection[str] = JSON_COLUMNS) -> bytes:
    """The whole batch as one COPY stream; text columns named in `json_columns` become jsonb."""
    builders = {
        item.name: StringEncoderBuilder.new_with_output(item, Jsonb())
        if item.name in json_columns
        else ArrowToPostgresBinaryEncoder.infer_encoder(item)
        for item in rows.schema
    }
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(rows.schema, builders)
    return b"".join((encoder.write_header(), encoder.write_batch(rows), encoder.finish()))
