"""Alembic migrations; they travel inside the package, so that an installed kasparro can migrate its database."""
