"""What everything stands on: settings, errors, clock, hashing, database connections, embedded PostgreSQL, logging."""
