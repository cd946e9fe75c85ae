"""The shapes: tables, the unified record, the source configuration, API pages."""
