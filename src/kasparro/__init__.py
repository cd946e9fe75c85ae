"""kasparro: pulls records from APIs, CSV files and feeds into PostgreSQL, exactly once, and serves them."""

__version__ = "0.1.0"
