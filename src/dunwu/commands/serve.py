"""``dunwu serve`` and what it shares with ``dunwu chat``: a model opened to be talked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from dunwu.api.model_sources import source_of
from dunwu.config.schema import ModelSpec, is_server
from dunwu.errors import UserError
from dunwu.machine import AskedDtype
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.service import GenerationService, ServiceLimits


def open_chat_model(
    text: str,
    *,
    name: str = "",
    template: str | None = None,
    dtype: AskedDtype = "float32",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int = 0,
) -> ChatModel:
    """Open a model that people talk to.

    Args:
        text: A run or RUN:STAGE, a transformers folder, a GGUF file, a packaged name, or a hub id.
        name: What clients call it; else what the text ends with.
        template: How it is asked, where it is not as it was trained.
        dtype: Type of the weights in memory.
        device: ``auto`` takes CUDA where there is a device.
        threads: CPU threads; 0: every core that this process may use.

    Raises:
        UserError: The model cannot be used.
    """
    if is_server(text):
        raise UserError("is behind a server already: point the client at that", file=text)
    source = source_of(text)
    spec = ModelSpec.model_validate({"dtype": dtype, "device": device, "threads": threads})
    shown = name or Path(text).name or text
    return ChatModel(shown, source.source, template or str(source.template), source.stop, spec)


def serve(
    text: str,
    *,
    port: int,
    announce: Callable[[str], None],
    name: str = "",
    template: str | None = None,
    dtype: AskedDtype = "float32",
    threads: int = 0,
    limits: ServiceLimits | None = None,
    keys: Sequence[str] = (),
    patience: int = 30,
) -> None:
    """Serve a model on this machine's loopback until the process is asked to stop.

    Args:
        text: See ``open_chat_model``; so are ``name``, ``template``, ``dtype`` and ``threads``.
        port: Where; 0 for any port that is free.
        announce: Is called with the address once it answers there.
        name: What clients call the model.
        template: How it is asked.
        dtype: Type of the weights in memory.
        threads: CPU threads.
        limits: Of rows, queue and memory.
        keys: Of which one is wanted with each request.
        patience: Seconds that requests may still take when it is asked to stop.

    Raises:
        UserError: The model cannot be used, or the port is taken.
    """
    from dunwu.serve.http.server import serve as serve_http

    model = open_chat_model(text, name=name, template=template, dtype=dtype, threads=threads)
    service = GenerationService(model, limits or ServiceLimits())
    serve_http(service, port, announce, keys=keys, patience=patience)


def read_keys(file: Path | None) -> tuple[str, ...]:
    """Read keys, a line each.

    Raises:
        UserError: The file cannot be read, or holds none.
    """
    if file is None:
        return ()
    try:
        keys = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", file=file) from None
    if not keys:
        raise UserError("holds no key", file=file)
    return keys
