"""From a source to committed rows: the source contract, mapping, transform, pipeline, store and fault injection."""
