"""What the process has ready that `kasparro chaos` forks runs from: it begins with this module, as others with main.py.

So this one does something when it is imported, and nothing else may import it.
"""

# ruff: noqa: E402, F401
# pyright: reportUnusedImport=false

from kasparro.cli.interpreter import hasten

hasten()

import kasparro.cli.chaos_child
import kasparro.cli.main
import kasparro.ingestion.http.client
import kasparro.ingestion.sources.rss.source
