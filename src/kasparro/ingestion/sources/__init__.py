"""One module (or package) per source type."""
