"""The read API: app, dependencies, errors, and one module per resource under routes."""
