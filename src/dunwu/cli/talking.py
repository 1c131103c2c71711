"""The commands that use a model: chat, serve, and keys for it. What they do is imported when they are called."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dunwu.cli.application import main, parse_folder
from dunwu.cli.printing import show_activity
from dunwu.machine import GIB, keep_freed_memory

if TYPE_CHECKING:
    from dunwu.serve.chat_model import ChatModel

ModelName = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A run or RUN:STAGE, a folder, a GGUF file, nano-base, or a hub id."),
]
TemplateName = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="chat, r1-zero, nano or a text with {prompt}; else as it was trained."),
]


class DtypeName(StrEnum):
    """Types of weights in memory."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


GuideName = Annotated[
    str | None,
    typer.Option(
        metavar="GUIDE", help="What may choose between answers: a run or RUN:STAGE of a reward model, or rules."
    ),
]
DtypeOption = Annotated[DtypeName, typer.Option(help="Type of the weights in memory.")]
Threads = Annotated[int, typer.Option(min=0, max=1024, help="CPU threads; 0: every core.")]


@main.command()
def chat(
    model: ModelName,
    template: TemplateName = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, max=2.0, help="Else what the model asks for.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same question has the same answer; else: random.")
    ] = None,
    vote: Annotated[int, typer.Option(min=1, max=128, help="Samples of which the majority answers.")] = 1,
    budget: Annotated[int | None, typer.Option(min=0, help="Tokens after which the reasoning is closed.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of reasoning and answer; else what fits.")] = None,
    guide: GuideName = None,
    dtype: DtypeOption = DtypeName.float32,
    threads: Threads = 0,
) -> None:
    """Talk to a model in the terminal.

    A question from a pipe is answered on stdout: echo "..." | dunwu chat MODEL
    All of stdin is one question; lines such as /vote 4 are commands in a terminal alone.
    """
    keep_freed_memory()
    with show_activity(f"opening {model}"):
        from dunwu.commands.chat import converse, read_from_terminal
        from dunwu.commands.guide import open_guide
        from dunwu.commands.serve import open_chat_model
        from dunwu.serve.answering import Answerer
        from dunwu.serve.service import GenerationService
        from dunwu.serve.terminal.conversation import Settings

        opened = open_chat_model(model, template=template, dtype=dtype.value, threads=threads)
        opened_guide = open_guide(guide) if guide is not None else None
        answerer = Answerer(GenerationService(opened), guide=opened_guide)
    for line in opened.notes:
        typer.echo(line, err=True)
    settings = Settings(
        temperature=opened.sampling[0] if temperature is None else temperature,
        top_p=opened.sampling[1],
        max_tokens=max_tokens,
        seed=seed,
        vote=vote,
        budget=budget,
    )
    try:
        converse(answerer, settings, read_from_terminal if sys.stdin is not None and sys.stdin.isatty() else None)
    finally:
        answerer.close()


@main.command()
def serve(
    model: ModelName,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = 8000,
    name: Annotated[str, typer.Option(help="What clients call the model; else the end of MODEL.")] = "",
    template: TemplateName = None,
    dtype: DtypeOption = DtypeName.float32,
    threads: Threads = 0,
    max_sequences: Annotated[int, typer.Option(min=1, max=4096, help="Answers that are written at once.")] = 64,
    queue: Annotated[int, typer.Option(min=1, max=1 << 20, help="Answers that may wait; beyond: 429.")] = 256,
    memory: Annotated[float, typer.Option(min=0.01, max=4096, help="GiB of keys and values, at most.")] = 4.0,
    cache: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep voted answers, and find them again.")] = None,
    cache_size: Annotated[int, typer.Option(min=1, max=1 << 20, help="MiB of that file, at most.")] = 256,
    hints: Annotated[bool, typer.Option("--hints", help="Give solved paths to questions with other numbers.")] = False,
    policy: Annotated[
        str | None, typer.Option(metavar="FILE", help="Review answers: a TOML file, safety, medicine or finance.")
    ] = None,
    safety_model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="RUN:STAGE of a reward model that the policy asks.")
    ] = None,
    review: Annotated[
        Path, typer.Option(parser=parse_folder, metavar="PATH", help="Where held answers wait for a person.")
    ] = Path("review"),
    keys: Annotated[Path | None, typer.Option(metavar="FILE", help="Who may ask and review; see dunwu key.")] = None,
    guide: GuideName = None,
    patience: Annotated[
        int, typer.Option(min=0, max=3600, help="Seconds for requests to end when asked to stop.")
    ] = 30,
) -> None:
    """Serve a model to OpenAI's clients, on this machine alone.

    Ctrl-C ends it: requests that are there are finished first.
    """
    keep_freed_memory()
    with show_activity("starting"):
        from dunwu.commands.serve import Surroundings, open_chat_model
        from dunwu.commands.serve import serve as serve_model
        from dunwu.serve.workers import ServiceLimits

    def open_shown(text: str, **options: Any) -> ChatModel:
        with show_activity(f"opening {text}"):
            return open_chat_model(text, dtype=dtype.value, threads=threads, **options)

    surroundings = Surroundings(
        cache=cache,
        cache_bytes=cache_size << 20,
        hints=hints,
        policy=policy,
        safety_model=safety_model,
        review=review,
        keys=keys,
        guide=guide,
    )
    serve_model(
        lambda: open_shown(model, name=name, template=template),
        open_second=open_shown,
        port=port,
        announce=lambda address: typer.echo(f"serving at {address}/v1; Ctrl-C ends it"),
        message=lambda line: typer.echo(line, err=True),
        limits=ServiceLimits(max_sequences=max_sequences, queue=queue, memory=int(memory * GIB)),
        surroundings=surroundings,
        patience=patience,
    )


class RoleName(StrEnum):
    """What the holder of a key may do."""

    client = "client"
    reviewer = "reviewer"
    admin = "admin"


@main.command()
def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets the key.")],
    role: Annotated[RoleName, typer.Option(help="What they may do.")] = RoleName.client,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Add the lines to this file, if no name in it looks alike.")
    ] = None,
) -> None:
    """Make a key for dunwu serve.

    Prints the key, which is kept nowhere. The lines for the keys file go there, or to stdout.
    """
    from dunwu.serve.review.keys import add_key, make_key

    made, lines = make_key(name, role.value) if keys is None else (add_key(keys, name, role.value), "")
    typer.echo(f"the key of {name}, shown once: {made}", err=True)
    if lines:
        typer.echo(lines)
