"""The `kasparro` command: which commands there are. Each lives in a file of its own; `frame.py` runs them."""

from typing import Annotated

import typer

from kasparro import __version__
from kasparro.cli.alerts import list_alerts, try_hooks
from kasparro.cli.backfill import backfill
from kasparro.cli.chaos import chaos
from kasparro.cli.check import check
from kasparro.cli.compare import compare_runs
from kasparro.cli.config import schema, show
from kasparro.cli.demo import demo
from kasparro.cli.doctor import doctor
from kasparro.cli.down import down
from kasparro.cli.drift import accept_drift, list_drift, reject_drift, show_drift
from kasparro.cli.drift_propose import propose_drift
from kasparro.cli.frame import add, group, start
from kasparro.cli.interpreter import hasten
from kasparro.cli.keys import create_key, list_keys, revoke_key
from kasparro.cli.migrate import migrate
from kasparro.cli.rejects import drop_rejects, list_rejects, show_reject
from kasparro.cli.replay import apply_replay, plan_replay
from kasparro.cli.requeue import requeue_rejects
from kasparro.cli.retention import retention
from kasparro.cli.run import run
from kasparro.cli.runs import list_runs, show_run
from kasparro.cli.sample import sample
from kasparro.cli.scheduler import scheduler
from kasparro.cli.serve import serve
from kasparro.cli.sources import sources
from kasparro.cli.state import clear_state, set_state, show_digest, show_state
from kasparro.cli.status import status
from kasparro.cli.up import up

app = typer.Typer(
    name="kasparro",
    help="Pull records from APIs, CSV files and feeds into PostgreSQL, exactly once, and serve them over a REST API.",
    epilog="Example: kasparro up --detach",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"kasparro {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What stands before the command's name."""
    del version


add(app, "up", up)
add(app, "down", down)
add(app, "status", status)
add(app, "run", run)
add(app, "backfill", backfill)
add(app, "serve", serve)
add(app, "scheduler", scheduler)
add(app, "migrate", migrate)
add(app, "sources", sources)
group(app, "runs", "What ran, and what became of it.", list=list_runs, show=show_run, compare=compare_runs)
group(
    app,
    "state",
    "Where the next run of a source goes on, and what its records add up to.",
    show=show_state,
    set=set_state,
    clear=clear_state,
    digest=show_digest,
)
group(
    app,
    "rejects",
    "Records that did not pass, why, and another try.",
    list=list_rejects,
    show=show_reject,
    requeue=requeue_rejects,
    drop=drop_rejects,
)
group(
    app,
    "drift",
    "How payloads differ from what was accepted, and what to do about it.",
    list=list_drift,
    show=show_drift,
    accept=accept_drift,
    reject=reject_drift,
    propose=propose_drift,
)
group(
    app,
    "replay",
    "Stored payloads through today's mapping: first a plan, then done.",
    plan=plan_replay,
    apply=apply_replay,
)
group(app, "alerts", "What is wrong now, and whether hooks take messages.", list=list_alerts, test=try_hooks)
group(app, "keys", "Who may use the API.", create=create_key, list=list_keys, revoke=revoke_key)
add(app, "retention", retention)
add(app, "doctor", doctor)
add(app, "chaos", chaos)
add(app, "demo", demo)
add(app, "check", check)
add(app, "sample", sample)
group(app, "config", "Show the configuration, or the JSON Schema of its file.", show=show, schema=schema)


def main() -> None:
    """Entry point of the `kasparro` script and of `python -m kasparro`."""
    hasten()
    start(app)
