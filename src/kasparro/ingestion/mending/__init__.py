"""From drift to mapping: what to change in `kasparro.yaml` so that payloads are read as they come, and as they came.

`renaming.py` rewrites an expression, `type_changes.py` one whose field has another type, `proposals.py` decides what is
proposed for findings, `yaml_edits.py` puts it into the file's text and leaves all else as it stands.
"""
