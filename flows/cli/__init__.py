"""The command line, ``git10m``. Commands import what they run, so that ``--help`` is quick."""

import typer

from flows.cli.asking import browse, diff, explain, retrieve, verify
from flows.cli.beginning import demo, init, inspect, schema
from flows.cli.running import curate, embed, evaluate, plan, serve
from flows.cli.sharing import materialize, publish

app = typer.Typer(
    name="git10m",
    help="Curate image-caption data sets: scan once, decide in seconds, write once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

for command in (
    curate, plan, embed, materialize, verify, explain, diff, browse, retrieve, publish, evaluate, inspect, init, schema,
    serve, demo,
):  # fmt: skip
    app.command()(command)
