"""The page that is browsed: thresholds to move, and beside them what they keep, and the recipe that says them."""

import threading
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from dash import ALL, Dash, Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from schemas.reports import Funnel
from schemas.thresholds import Limits
from tasks.browse.access import guard
from tasks.browse.figures import histogram, moved_bars, moved_map, world_map
from tasks.browse.opening import Opened
from tasks.browse.sheets import Sheet, Shown, draw_sheets
from tasks.browse.sliders import Slider
from tasks.browse.trial import Trial
from tasks.report.html import cut, percent

_ALWAYS = frozenset({"quality", "caption_words", "zoom"})
_CAPTION_CHARACTERS = 110
_SPOKEN: dict[str, Any] = {"aria-live": "polite"}
_Values = dict[str, Any]
"""Of the sliders, by key: a number, or the two ends of a range."""

_Say = Callable[[Mapping[str, Limits]], str]


def make_app(opened: Opened, trial: Trial, say_recipe: _Say, token: str) -> Dash:
    """Return the page as a Dash app, whose ``server`` is a WSGI application.

    Args:
        opened: what is browsed.
        trial: its subset, to be moved.
        say_recipe: tells the recipe under other limits, as YAML.
        token: the secret of the page's address (:func:`tasks.browse.access.guard`).
    """
    assets = str(resources.files("tasks.browse").joinpath("assets"))
    # Its title is no text of the source's: Dash takes it for markup.
    app = Dash("git10m", title="git10m browse", update_title="", assets_folder=assets)
    app.index_string = _INDEX
    lock = threading.Lock()
    sliders = {
        control.key: Slider.of(control, trial.scales[control.key], trial.limits[control.key])
        for control in trial.controls
    }
    app.layout = _layout(opened, trial, sliders, say_recipe)
    guard(app.server, token, app.csp_hashes())

    def limits_from(values: _Values) -> dict[str, Limits]:
        try:
            return {key: sliders[key].limits(value) for key, value in values.items()}
        except (KeyError, TypeError, ValueError) as error:  # no page of ours has sent that
            raise PreventUpdate from error

    @app.callback(
        Output("answer", "children"),
        Output("funnel", "children"),
        Output("map", "figure"),
        *(Output(f"figure-{figure.control.signal}", "figure") for figure in trial.figures),
        Output("recipe", "children"),
        Output("moved", "data"),
        Input({"limit": ALL}, "value"),
        State({"limit": ALL}, "id"),
    )
    def move(places: list[Any], names: list[dict[str, str]]) -> tuple[Any, ...]:
        values = {name["limit"]: place for name, place in zip(names, places, strict=True)}
        limits = limits_from(values)
        outcome = trial.outcome(limits)
        figures = [
            moved_bars(counts, limits[figure.control.key])
            for counts, figure in zip(outcome.figures, trial.figures, strict=True)
        ]
        return (
            _answer(outcome.funnel),
            _funnel(outcome.funnel),
            moved_map(outcome.cells),
            *figures,
            say_recipe(limits),
            values,
        )

    # After the answer, not beside it: reading pictures would take the core that counts.
    @app.callback(Output("sheets", "children"), Input("moved", "data"), Input("draw", "n_clicks"))
    def look(values: _Values | None, draw: int | None) -> list[Any]:
        if values is None:
            raise PreventUpdate
        with lock:  # of one page after the other: both cores are busy with one
            sheets = draw_sheets(opened, trial, limits_from(values), draw or 0)
        return [_sheet(sheet) for sheet in sheets] or [
            html.P(
                "No threshold is set: move one, and the pairs on both sides of it are shown here.", className="quiet"
            )
        ]

    return app


_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>{%metas%}<title>{%title%}</title><link rel="icon" href="data:,">{%css%}</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""


def _layout(opened: Opened, trial: Trial, sliders: Mapping[str, Slider], say_recipe: _Say) -> Any:
    recipe, subset = opened.recipe, opened.subset
    outcome = trial.outcome(trial.limits)
    at_once = {key for key, slider in sliders.items() if key in _ALWAYS or slider.begin != Limits()}
    always = [_slider(slider) for key, slider in sliders.items() if key in at_once]
    more = [_slider(slider) for key, slider in sliders.items() if key not in at_once]
    figures = [
        html.Figure(
            [
                html.H3(figure.control.label.capitalize()),
                _graph(
                    f"figure-{figure.control.signal}",
                    histogram(figure, counts, trial.limits[figure.control.key]),
                    f"Histogram of {figure.control.label}, source and subset",
                ),
                *([html.P(f"{figure.missing:,} pairs have none.", className="quiet")] if figure.missing else []),
            ]
        )
        for figure, counts in zip(trial.figures, outcome.figures, strict=True)
    ]
    world = html.Figure(
        [
            html.H3("Tile centres, by 2° cell"),
            _graph("map", world_map(trial.cells, outcome.cells), "World map of the tile centres, source and subset"),
        ]
    )
    return html.Div(
        [
            html.Header(
                [
                    html.P(f"{recipe.source.name}, subset {subset.name}", className="quiet"),
                    html.H1(_answer(outcome.funnel), id="answer", **_SPOKEN),
                    html.P(_notes(opened, trial), className="quiet"),
                ]
            ),
            html.Main(
                [
                    html.Div(
                        [
                            html.Div(
                                [
                                    html.P("A slider at its own end sets no limit.", className="quiet"),
                                    *always,
                                    *([html.Details([html.Summary("More thresholds"), *more])] if more else []),
                                ],
                                className="controls",
                            ),
                            html.Div(
                                [
                                    html.Div(_funnel(outcome.funnel), id="funnel"),
                                    html.Div([world, *figures], className="figures"),
                                ]
                            ),
                        ],
                        className="desk",
                    ),
                    html.Div(
                        [html.H2("On both sides of each threshold"), html.Button("Draw others", id="draw")],
                        className="row",
                    ),
                    html.P(
                        "Pairs that lie nearest to the threshold: kept ones, and those that miss it and nothing else.",
                        className="quiet",
                    ),
                    html.Div(id="sheets"),
                    dcc.Store(id="moved"),
                    html.Div(
                        [
                            html.H2("The recipe, of this subset alone"),
                            dcc.Clipboard("Copy", target_id="recipe", className="copy", copied_children="Copied"),
                        ],
                        className="row",
                    ),
                    html.Div(html.Pre(say_recipe(trial.limits), id="recipe"), className="recipe"),
                ]
            ),
        ]
    )


def _notes(opened: Opened, trial: Trial) -> str:
    subset, told = opened.subset, []
    if trial.stays:
        told.append(f"Held against all rows as well: {', '.join(trial.stays)}.")
    after = [key for key in ("top", "sampling", "splits") if key in subset.model_dump(exclude_defaults=True)]
    if after:
        told.append(f"What {', '.join(after)} of the recipe would draw of the kept rows is not told here.")
    if opened.unscanned:
        told.append(f"{opened.unscanned:,} shards were never scanned, and are not counted.")
    if not opened.at_hand.all():
        told.append("Pictures are shown of shards that lie on this machine.")
    return " ".join(told)


def _slider(slider: Slider) -> Any:
    control = slider.control
    told: dict[str, Any] = {
        "id": {"limit": control.key},
        "min": slider.low,
        "max": slider.high,
        "step": slider.step,
        "value": slider.value,
        "marks": None,
    }
    one_or_two = dcc.Slider(**told) if control.low_only else dcc.RangeSlider(**told, allowCross=False)
    return html.Fieldset([html.Legend(control.label[0].upper() + control.label[1:]), one_or_two])


def _answer(funnel: Funnel) -> list[Any]:
    kept, rows = funnel.kept, funnel.source_rows
    return [f"{kept:,} of {rows:,} pairs kept ", html.B(percent(kept, rows))]


def _funnel(funnel: Funnel) -> Any:
    rows = funnel.source_rows

    def bar(left: int, rejected: int) -> Any:
        parts = (100 * part / rows if rows else 0 for part in (left, rejected))
        return html.Td(html.I([html.B(style={"width": f"{part:.3f}%"}) for part in parts]), className="bar")

    lines = [("source", 0, rows)] + [(step.stage.value, step.rejected, step.left) for step in funnel.told]
    return html.Table(
        [
            html.Thead(
                html.Tr(
                    [
                        html.Th("Stage", scope="col"),
                        *(html.Th(name, className="n", scope="col") for name in ("Rejected", "Left", "Share")),
                        html.Td(),
                    ]
                )
            ),
            html.Tbody(
                [
                    html.Tr(
                        [
                            html.Th(stage, scope="row"),
                            html.Td(f"\N{MINUS SIGN}{rejected:,}" if rejected else "", className="n"),
                            html.Td(f"{left:,}", className="n"),
                            html.Td(percent(left, rows), className="n"),
                            bar(left, rejected),
                        ]
                    )
                    for stage, rejected, left in lines
                ]
            ),
        ]
    )


def _graph(name: str, figure: dict[str, Any], alt: str) -> Any:
    graph = dcc.Graph(id=name, figure=figure, config={"displayModeBar": False, "responsive": True})
    told: dict[str, Any] = {"aria-label": alt}
    return html.Div(graph, role="img", **told)


def _sheet(sheet: Sheet) -> Any:
    limit = f"{sheet.control.label} {sheet.sign} {sheet.limit:g}"
    if sheet.problem:
        return html.Section([html.H3(limit), html.P(sheet.problem, className="quiet")])
    return html.Section(
        [
            html.H3(limit),
            html.Div(
                [
                    _side("kept", "just inside", sheet.kept),
                    _side("lost", "just outside", sheet.lost),
                ],
                className="sides",
            ),
        ]
    )


def _side(name: str, where: str, pairs: tuple[Shown, ...]) -> Any:
    title = html.P([html.B(name.capitalize()), f", {where}"])
    if not pairs:
        return html.Div([title, html.P("none", className="quiet")], className=f"side {name}")
    return html.Div([title, html.Ul([_pair(pair) for pair in pairs], className="sheet")], className=f"side {name}")


def _pair(pair: Shown) -> Any:
    caption = pair.caption or "no caption"
    short = cut(caption, _CAPTION_CHARACTERS)
    picture = (
        html.Img(src=pair.thumbnail.uri, alt=short, width=128, height=128)
        if pair.thumbnail.uri
        else html.Span(pair.thumbnail.problem, className="none")
    )
    return html.Li([picture, html.B(f"{pair.value:g}"), html.Span(short, title=f"row {pair.row:,}: {caption}")])
