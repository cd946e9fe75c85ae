"""HTTP for every source: one client, one set of manners."""
