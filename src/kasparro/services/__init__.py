"""The only SQL: one module per table or question; functions take a connection first and never commit."""
