"""A small upstream, so that everything runs offline: one real week of the U.S. Geological Survey, replayed."""
