"""Drift: how a run's payloads differ from what was accepted. Pure computing; nothing here is called by a run yet.

`from_payloads.py` and `from_columns.py` make a `Profile` (profile.py), `shape.py` keeps one as JSON, `compare.py` finds
what differs (findings.py), by `renames.py`, `changes.py` and `shifts.py`, with the numbers of `thresholds.py`.
"""
