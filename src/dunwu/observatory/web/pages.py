"""The pages, made of the same parts as the report. Whatever a model or a recipe wrote goes through ``page.text``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from urllib.parse import quote, urlencode

from dunwu.analysis import aha_sentences, comparison_table, costs, curves
from dunwu.analysis.headline import write_headline
from dunwu.analysis.labels import describe_checkpoint, describe_quantity, sanitize
from dunwu.analysis.results import find_base_and_trained, is_model_comparison
from dunwu.analysis.run_status import describe_progress, list_run_facts
from dunwu.errors import UserError
from dunwu.observatory import figures, graph
from dunwu.observatory.charts import Chart
from dunwu.observatory.report import page
from dunwu.observatory.report.aha_section import aha_section
from dunwu.observatory.report.diagnosis_section import diagnosis_lines
from dunwu.observatory.report.sections import evaluation_table, folded, models_table, result_cell
from dunwu.observatory.web import browser, shelf
from dunwu.observatory.web.library import Library, Watched
from dunwu.observatory.web.paths import offers, path
from dunwu.observatory.web.query import Filter
from dunwu.runs import RunReader, StageReader

TABS = (("", "Overview"), ("/curves", "Curves"), ("/rollouts", "Rollouts"), ("/paths", "Paths"))
"""Of a run: what follows its address, and what it is called. The keys 1 to 4 open them, 5 the comparison."""
COMPARED_NOTE = (
    "Lines: training problems. On held-out problems, in the colour of the run: dashed, what its base does; a ring, its "
    "base; dots, its checkpoints, the trained model last."
)
COMPARED = (curves.ACCURACY, curves.REWARD, curves.REFLECTIONS, curves.LENGTH, *curves.SHOWN.values(), curves.MENDED)
BRAND = "顿悟 Dunwu"
HEADLINES = ("pass@1", "length", "reflections")
"""Results of an evaluation that runs are compared by."""
HELP = (
    ("1 to 5", "overview, curves, rollouts, paths, compare"),
    ("j and k", "next and previous rollout"),
    ("Enter", "open the rollout"),
    ("[ and ]", "previous and next of the group"),
    ("u", "back to the list"),
    ("/", "search"),
    ("t", "light, dark, or as the system has it"),
    ("?", "these keys"),
)


def shelf_page(library: Library, order: str) -> str:
    """The runs that are watched; ``order``: see ``shelf.listing``."""
    return _document(library, None, "", "Runs", f"<h1>Runs</h1>{shelf.listing(library, order)}")


def trouble(text: str) -> str:
    """What went wrong, in one line."""
    return _frame(
        "Dunwu",
        f'<header><a class="brand" href="/">{BRAND}</a></header><main id="main"><h1>That did not work</h1>'
        f'<p>{page.text(text)}</p><p><a href="/">To the runs</a></p></main>',
    )


def overview(library: Library, place: int) -> str:
    """Where a run stands: its state, its curves, its stages and moments, what it has reached and cost."""
    watched = library[place]
    run = watched.read()
    link = f"/runs/{place}/curves?stage="
    found = watched.last_evaluated()
    parts = [
        f"<h1>{page.text(run.recipe['name'])} · seed {run.seed}</h1>",
        page.headline(write_headline(run, found)),
        page.facts([("state", f"{describe_progress(run)}."), *list_run_facts(run)]),
        _first_curves(watched, run, link),
        f"<h2>Stages</h2>{graph.drawing(graph.nodes(run), link)}",
        diagnosis_lines([watched.told(name) for name in run.stages if run.recipe["stages"][name]["kind"] == "rl"]),
        _moments(watched, run, link),
    ]
    if found:
        stage, by_set = found
        tables = page.grid([evaluation_table(name, evaluations) for name, evaluations in by_set.items()])
        shown = models_table(comparison_table.compare_models(by_set)) if is_model_comparison(run, stage) else tables
        parts.append(f"<h2>Held-out problems</h2>{shown}")
    parts.append(_costs(run))
    return _document(library, place, "", run.recipe["name"], "".join(parts))


def _first_curves(watched: Watched, run: RunReader, link: str) -> str:
    """The figures that say most of the newest stage that has any."""
    for stage in reversed(run.stages):
        if drawn := page.grid([chart.html() for chart in figures.opening(watched.told(stage))]):
            more = f'<p><a href="{link}{quote(stage)}">All curves of {page.text(stage)}</a></p>'
            return f"{_reading(watched, stage)}{drawn}{more}"
    return ""


def _moments(watched: Watched, run: RunReader, link: str) -> str:
    """A sentence for each stage that writes: is there a candidate? Not before its rollouts have been read."""
    told = [(stage, watched.told(stage)) for stage in run.stages if watched.catalogue(stage).progress.stored]
    if not told:
        return ""
    sentences = {
        stage: aha_sentences.describe_reading(*one.reading)
        if one.reading
        else aha_sentences.describe_search(one.search)
        for stage, one in told
    }
    lines = "".join(
        f'<dt><a href="{link}{quote(stage)}">{page.text(stage)}</a></dt><dd>{page.text(sentence)}</dd>'
        for stage, sentence in sentences.items()
    )
    return f'<h2>Is it an aha?</h2><dl class="moments">{lines}</dl>'


def _costs(run: RunReader) -> str:
    lines = list(costs.read_costs(run))
    if not lines:
        return ""
    rows = [
        [page.text(line.stage), line.module, *costs.format_costs(line)] for line in (*lines, costs.sum_costs(lines))
    ]
    return f"<h2>What it cost</h2>{page.table('', ['stage', 'module', *costs.COLUMNS], rows, words=(1,))}"


def curves_page(library: Library, place: int, stage: str) -> str:
    """A stage's curves, as far as it has come."""
    watched = library[place]
    stage = _stage(watched, "/curves", stage)
    told = watched.told(stage)
    telling_charts, others = figures.measured(told)
    drawn = page.grid([chart.html() for chart in (*figures.learning(told), *telling_charts)])
    parts = [
        f"<h1>Curves of {page.text(stage)}</h1>",
        _stages(watched, place, "/curves", stage),
        _reading(watched, stage),
        page.damage_notes(told.lost),
        f"<h2>What changed</h2>{aha_section(told)}" if told.rollouts else "",
        f"<h2>Curves</h2>{drawn}" if drawn else "",
        *(folded(title, figures.by_level(told, verdict)) for title, verdict in figures.LEVEL_BY_LEVEL.items()),
        folded("Further measurements", others),
        "<h2>Evaluations</h2>" if told.by_set else "",
        page.grid([evaluation_table(name, evaluations) for name, evaluations in told.by_set.items()]),
    ]
    return _document(library, place, "/curves", f"Curves of {stage}", "".join(parts))


def rollouts_page(library: Library, place: int, stage: str, asked: Filter, start: int) -> str:
    """The browser of a stage's rollouts: filters, and a page of what they let through."""
    watched = library[place]
    stage = _stage(watched, "/rollouts", stage)
    head = f"<h1>Rollouts of {page.text(stage)}</h1>"
    head += _stages(watched, place, "/rollouts", stage) + _reading(watched, stage)
    body = browser.listing(watched, f"/runs/{place}/rollouts", stage, asked, start)
    if not watched.catalogue(stage).progress.stored:
        told = "This stage has no rollouts. Answers of an evaluation, problem by problem:"
        body = f'<p>{told} <a href="/runs/{place}/paths?stage={quote(stage)}">paths</a>.</p>'
    return _document(library, place, "/rollouts", f"Rollouts of {stage}", head + body)


def rollout_page(library: Library, place: int, stage: str, step: int, row: int) -> str:
    """One rollout: the question, the coloured answer, its score, and its siblings."""
    body = browser.rollout(library[place], f"/runs/{place}", stage, step, row)
    return _document(library, place, "/rollouts", f"Rollout {step}/{row} of {stage}", body)


def paths_page(library: Library, place: int, stage: str, problem: str) -> str:
    """One problem through training, side by side."""
    watched = library[place]
    stage = _stage(watched, "/paths", stage)
    told, catalogue = watched.told(stage), watched.catalogue(stage)
    offered = offers(told, catalogue)
    parts = [
        f"<h1>Paths through {page.text(stage)}</h1>",
        _stages(watched, place, "/paths", stage),
        _reading(watched, stage),
    ]
    try:
        chosen = int(problem) if problem else offered[0].problem if offered else None
    except ValueError:
        raise UserError(f"{problem!r:.40} is no problem's number", field="problem") from None
    if chosen is None:
        parts.append("<p>No problem has been answered more than once yet.</p>")
    else:
        stops = path(told, catalogue, chosen)
        boxes = "".join(
            page.answer(stop.label, stop.text, right=stop.right, told=f"{stop.tokens:,} tokens") for stop in stops
        )
        question = f'<p class="question">{page.text(stops[0].prompt)}{page.in_english(stops[0].prompt)}</p>'
        models = is_model_comparison(watched.read(), stage)  # beside each other, not one after the other
        kind = "path models" if models else "path"
        parts.append(f'{question}{page.key()}<div class="{kind}" tabindex="0">{boxes}</div>')
        base = f"/runs/{place}/paths?" + urlencode({"stage": stage})
        items = "".join(
            f'<li><a href="{escape(base, quote=True)}&amp;problem={offer.problem}"'
            f"{' aria-current=true' if offer.problem == chosen else ''}>{page.text(offer.told)}</a></li>"
            for offer in offered
        )
        parts.append(f'<h2>Other problems</h2><ul class="offers">{items}</ul>')
    return _document(library, place, "/paths", f"Paths through {stage}", "".join(parts))


def compare_page(library: Library, asked: Sequence[str]) -> str:
    """The same curves of several runs, and what their last evaluations say, beside each other."""
    try:
        places = [int(text) for text in asked] or list(range(len(library.runs)))
    except ValueError:
        raise UserError("runs are named by their numbers", field="run") from None
    asked_for = {place: library[place] for place in dict.fromkeys(places)}
    chosen = {place: run for place, run in asked_for.items() if run.is_readable()}
    boxes = "".join(
        f'<label><input type="checkbox" name="run" value="{place}"{" checked" if place in chosen else ""}> '
        f"{page.text(run.name)}</label>"
        for place, run in enumerate(library.runs)
    )
    form = (
        f'<form class="filters" data-live><fieldset><legend>Runs</legend>{boxes}</fieldset>'
        "<noscript><button>Show</button></noscript></form>"
    )
    stages = dict.fromkeys(stage for run in chosen.values() for stage in run.read().stages)
    parts = ["<h1>Runs beside each other</h1>", form, _last_results(list(chosen.values()))]
    for stage in stages:
        having = [run for run in chosen.values() if stage in run.read().stages]
        shown = page.grid([chart.html() for chart in _compared(having, stage)])
        if shown:
            reading = "".join(_reading(run, stage, name=run.name) for run in having)
            note = f'<p class="note">{COMPARED_NOTE}</p>'
            parts.append(f"<h2>Stage {page.text(stage)}</h2>{note}{reading}{shown}")
    return _document(library, None, "/compare", "Runs beside each other", "".join(parts))


def _compared(runs: Sequence[Watched], stage: str) -> Iterator[Chart]:
    told = [(sanitize(run.name), run.told(stage)) for run in runs]
    for measure in COMPARED:
        series = [one for name, of_run in told for one in figures.of_run(name, of_run, measure)]
        chart = Chart(title=measure.label.capitalize(), series=series, y_label=measure.unit, share=measure.share)
        if chart.drawn:
            yield chart


def _last_results(runs: Sequence[Watched]) -> str:
    """Of every run what its last evaluations say: of the base and of the trained model, or of its last model."""
    rows = dict[str, dict[tuple[str, str], str]]()
    for run in runs:
        last = run.last_evaluated()
        for name, evaluations in (last[1] if last else {}).items():
            for one in find_base_and_trained(evaluations) or evaluations[-1:]:
                for key in HEADLINES:
                    if key in one.results:
                        cells = rows.setdefault(f"{name}: {describe_quantity(key).label}", {})
                        cells[run.name, one.checkpoint] = result_cell(key, one.results[key])
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    table = [[page.text(head), *(cells.get(column, "–") for column in columns)] for head, cells in rows.items()]
    heads = [f"{name}, {describe_checkpoint(model)}" for name, model in columns]
    return page.table("On held-out problems, with 95 % intervals", ["", *heads], table) if rows else ""


def _stage(watched: Watched, tab: str, stage: str) -> str:
    """The stage that is asked for; otherwise the last one that has something to show on this page."""
    if stage:
        watched.catalogue(stage)
        return stage
    run = watched.read()
    if not run.stages:
        raise UserError("has not begun its first stage", file=watched.directory)
    offered = _offered(run, tab)
    writing = [name for name in offered if run.stage(name).rollout_steps()]
    return (writing or offered or list(run.stages))[-1]


def _offered(run: RunReader, tab: str) -> list[str]:
    """The stages that have something to show on a page."""
    wanted: Mapping[str, Callable[[StageReader], object]] = {
        "/curves": lambda stage: stage.read_metrics() or stage.rollout_steps(),
        "/rollouts": lambda stage: stage.rollout_steps(),
        "/paths": lambda stage: stage.rollout_steps() or stage.evaluations_mark,
    }
    return [name for name in run.stages if wanted[tab](run.stage(name))]


def _stages(watched: Watched, place: int, tab: str, current: str) -> str:
    """Links to the same page of the other stages."""
    names = _offered(watched.read(), tab)
    if len(names) < 2:
        return ""
    links = "".join(
        f'<a href="/runs/{place}{tab}?stage={quote(name)}"{" aria-current=true" if name == current else ""}>'
        f"{page.text(name)}</a>"
        for name in names
    )
    return f'<nav class="stages" aria-label="Stages">{links}</nav>'


def _reading(watched: Watched, stage: str, name: str = "") -> str:
    """How far the reading is, while it is not done, and what could not be read; ``name``: of which run it is told."""
    found = watched.catalogue(stage).progress
    told = [f"{file} (tried again when it changes)" for file in found.damaged]
    if found.read + len(found.damaged) < found.stored:
        told.insert(0, f"Reading {found.read:,} of {found.stored:,} rollouts; what is made of them is not whole yet.")
    return "".join(
        f'<p class="note" role="status">{page.text(f"{name}: {line}" if name else line)}</p>' for line in told
    )


def _document(library: Library, place: int | None, tab: str, title: str, body: str) -> str:
    """A page with its head: runs, tabs, theme, keys."""
    run = 0 if place is None else place  # beside each other: the way back to the first
    tabs = [(f"/runs/{run}{address}", name, place is not None and address == tab) for address, name in TABS]
    tabs = [*(tabs if tab or place is not None else ()), ("/compare", "Compare", tab == "/compare")]
    links = "".join(
        f'<a href="{address}"{" aria-current=page" if here else ""} data-key="{number}">{name}</a>'
        for number, (address, name, here) in enumerate(tabs, start=1 + len(TABS) + 1 - len(tabs))
    )
    runs = f'<a class="brand" href="/">{BRAND}</a>'
    if place is not None and len(library.runs) > 1:
        runs += f'<span class="run">{page.text(library[place].name)}</span>'
    keys = "".join(f"<dt><kbd>{key}</kbd></dt><dd>{told}</dd>" for key, told in HELP)
    pulse = f' data-pulse="/{"" if place is None else f"runs/{place}/"}pulse"'
    return _frame(
        f"{title} · Dunwu",
        f'<a class="skip" href="#main">To the content</a><header>{runs}<nav aria-label="Pages">{links}</nav>'
        '<button id="theme" type="button" title="Light, dark, or as the system has it (t)">Theme: system</button>'
        '<button id="keys" type="button" title="Keys (?)">Keys</button></header>'
        f'<main id="main" tabindex="-1"{pulse}>{body}</main>'
        f'<dialog id="help" aria-labelledby="help-title"><h2 id="help-title">Keys</h2><dl>{keys}</dl>'
        '<form method="dialog"><button>Close</button></form></dialog>',
    )


def _frame(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{page.text(title)}</title><link rel="icon" href="/assets/icon.svg">'
        '<link rel="stylesheet" href="/assets/report.css"><link rel="stylesheet" href="/assets/watch.css">'
        f'<script src="/assets/watch.js"></script></head><body>{body}</body></html>\n'
    )
