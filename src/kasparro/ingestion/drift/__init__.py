"""Drift: how a run's payloads differ from what was accepted, and what is held back because of it.

`from_payloads.py` and `from_columns.py` make a `Profile` (profile.py), `shape.py` keeps one as JSON, `compare.py` finds
what differs (findings.py), by `renames.py`, `type_changes.py` and `shifts.py`, with the numbers of `thresholds.py`.

`watch.py` looks at each batch of a run: `parts.py` are its records, `guard.py` says which of them lack what is
`expected.py`, `quarantine.py` takes them out. `verdict.py` says what was found and what is over, `keeping.py`
writes it, `accepted.py` puts an accepted finding into the shape. All but `keeping.py` is pure computing.
"""
