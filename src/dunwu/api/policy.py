"""A language model that can be asked from Python."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dunwu.api.model_sources import Source, source_of
from dunwu.api.run import Run
from dunwu.config.schema import ModelSpec, PromptSpec, Temperature, TopP, is_server
from dunwu.errors import UserError
from dunwu.machine import AskedDtype
from dunwu.monitoring.monitors import Log, open_monitor
from dunwu.types import Completion, GenerationRequest, Message, Problem, Sampling

if TYPE_CHECKING:
    from dunwu.execution.executor import Executor
    from dunwu.models.policy import Policy as LoadedPolicy
    from dunwu.models.templates import Template
    from dunwu.rollout.engine import Engine

MAX_SEQUENCES = 256


class GenerateArguments(BaseModel):
    """What bounds the arguments of ``Policy.generate``."""

    model_config = ConfigDict(allow_inf_nan=False)

    n: int = Field(ge=1)
    temperature: Temperature
    top_p: TopP
    max_new_tokens: int = Field(ge=1)
    stop: Sequence[Annotated[str, Field(min_length=1)]]


def explain_argument(error: ValidationError) -> UserError:
    """Make one error of what is wrong with the arguments of a call."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return UserError(f"{first['input']!r:.60}: {first['msg'][:1].lower()}{first['msg'][1:]}", field=field)


class Policy:
    """A causal language model with its tokenizer and its prompt template. Weights are loaded when they are first used.

    Args:
        source: Where the model lies, resolved; see ``load``.
        dtype: Type of the weights in memory; ``auto`` is bfloat16 where the CPU's kernels multiply it faster.
        device: ``auto`` takes CUDA where there is a device.
        threads: CPU threads; 0: every core that this process may use.

    Attributes:
        source: A packaged name, a folder, a GGUF file, or a hub id.
        template: The name or text of the prompt template: ``chat``, ``r1-zero``, ``nano``, or a text with ``{prompt}``.
    """

    def __init__(
        self,
        source: Source,
        *,
        dtype: AskedDtype = "float32",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        threads: int = 0,
    ) -> None:
        self.source = source.source
        self._found = source
        try:
            self._spec = ModelSpec.model_validate({"dtype": dtype, "device": device, "threads": threads})
        except ValidationError as error:
            raise explain_argument(error) from None
        self._lock = Lock()

    @cached_property
    def template(self) -> str:
        """How it is asked: as it was trained, as its chat template says, or as a base model is."""
        return str(self._found.template)

    @property
    def positions(self) -> int | None:
        """Tokens that it can read and write at most, prompt and completion together; None where nothing says it."""
        return self._found.positions

    @property
    def model(self) -> Any:
        """The model of transformers, in eval mode."""
        return self._loaded.model

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers."""
        return self._loaded.tokenizer

    def generate(
        self,
        prompts: str | Problem | Sequence[str | Problem],
        *,
        n: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_new_tokens: int = 512,
        stop: Sequence[str] = (),
        seed: int = 0,
        log: Log = "rich",
    ) -> list[list[Completion]]:
        """Write completions. The same seed gives the same ones, whatever else is asked at the same time.

        Args:
            prompts: Questions as texts or problems; the template is put around them.
            n: Completions of each.
            temperature: 0 takes the likeliest token each time.
            top_p: The share of probability that is drawn from.
            max_new_tokens: Longest completion, in tokens; also bounded by the model's positions.
            stop: Texts that end a completion, beside the tokenizer's end of sequence.
            seed: Randomness of completion ``i`` of prompt ``p`` is a function of (seed, p, i).
            log: Whether a bar counts completions, on a terminal or in a notebook; ``quiet``: not.

        Returns:
            ``n`` completions for each prompt, in order.

        Threads may call it at once; one waits for the other.

        Raises:
            UserError: The model cannot be used, an argument is out of range, or a prompt has more tokens than the
                model has positions.
        """
        from dunwu.models.gguf.cache import convert_source
        from dunwu.rollout.collect import complete
        from dunwu.rollout.seeds import derive_seed

        sampled = {"temperature": temperature, "top_p": top_p, "max_new_tokens": max_new_tokens}
        try:
            GenerateArguments.model_validate({"n": n, "stop": stop, **sampled})
        except ValidationError as error:
            raise explain_argument(error) from None
        asked = [prompts] if isinstance(prompts, str | Problem) else list(prompts)
        problems = [as_problem(one, place) for place, one in enumerate(asked)]
        with self._lock, closing(open_monitor(log)) as monitor:
            monitor.show_activity("loading the model")
            convert_source(self.source, monitor)
            requests = [
                GenerationRequest(
                    prompt=self._encoder.encode(problem),
                    seeds=tuple(derive_seed(seed, "generate", place, index) for index in range(n)),
                )
                for place, problem in enumerate(problems)
            ]
            room = self._positions - max((len(request.prompt.token_ids) for request in requests), default=0)
            if room < 1:
                raise UserError(f"a prompt leaves no room for an answer: the model has {self._positions} positions")
            sampling = Sampling(
                temperature=temperature, top_p=top_p, max_new_tokens=min(max_new_tokens, room), stop=tuple(stop)
            )
            groups = complete(self._engine, requests, sampling, monitor.count_completions)
        return [list(group.completions) for group in groups]

    def save(self, folder: Path | str) -> Path:
        """Write the model as an ordinary transformers folder, and return its path."""
        from dunwu.models.export import write_chat_template
        from dunwu.models.load import save_policy

        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        save_policy(self._loaded, place)
        write_chat_template(place, self.template)
        return place

    @cached_property
    def _executor(self) -> Executor:
        from dunwu.execution.executor import open_executor

        return open_executor(self._spec, lambda line: None)

    @cached_property
    def _loaded(self) -> LoadedPolicy:
        from dunwu.models.llama_parts import LightModel

        if "_reader" in vars(self) and not isinstance(self._reader.model, LightModel):
            return self._reader
        executor = self._executor
        return executor.open_policy(self.source, longest=self._longest, learns=False, generates=True)

    @cached_property
    def _reader(self) -> LoadedPolicy:
        """What generates: it need not be transformers' model, unless that is here already."""
        if "_loaded" in vars(self):
            return self._loaded
        return self._executor.open_reader(self.source, longest=self._longest)

    @cached_property
    def _engine(self) -> Engine:
        return self._executor.build_engine(self._reader, max_sequences=MAX_SEQUENCES)

    @cached_property
    def _encoder(self) -> Template:
        from dunwu.models.chat_templates import start_renderer
        from dunwu.models.templates import Template

        if self.template == "chat":
            start_renderer()
        return Template(PromptSpec(template=self.template, max_tokens=self._positions), self._reader.tokenizer)

    @cached_property
    def _positions(self) -> int:
        from dunwu.models.templates import count_positions

        return count_positions(self._reader.model)

    @property
    def _longest(self) -> int:
        """Tokens of the sequences by which the engine is held against the model's own forward pass."""
        return self._found.positions or 1024

    def _repr_html_(self) -> str:
        from dunwu.models.shape import find_shape
        from dunwu.observatory.notebook import render_facts

        shape = find_shape(self.source)
        facts = [("policy", self.source), ("template", self.template)]
        if shape is not None:
            facts += [("parameters", f"{shape.parameters:,}"), ("positions", f"{shape.max_positions:,}")]
        return render_facts(facts)

    def __repr__(self) -> str:
        return f"Policy({self.source!r}, template={self.template!r})"


def load(
    source: Run | Path | str,
    *,
    dtype: AskedDtype = "float32",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int = 0,
) -> Policy:
    """Open a model: of a run, of a folder, of a hub, or one that comes with Dunwu.

    Args:
        source: A run or its directory (``runs/r1``, ``runs/r1:dev1`` for one stage), a transformers folder, a
            GGUF file, a hub id (``Qwen/Qwen2.5-0.5B``), ``nano-base``, ``nano-world`` or ``smollm2-135m-instruct``.
        dtype: Type of the weights in memory; ``auto`` is bfloat16 where the CPU's kernels multiply it faster.
        device: ``auto`` takes CUDA where there is a device.
        threads: CPU threads; 0: every core that this process may use.

    Returns:
        The policy. Its weights are loaded when they are first used.

    Raises:
        UserError: It is none of these, or a run without a model; or another argument is out of range.
    """
    text = str(source.directory) if isinstance(source, Run) else str(source)
    if is_server(text):
        raise UserError("a model behind a server cannot be loaded; dunwu.evaluate can ask it", file=text)
    return Policy(source_of(text), dtype=dtype, device=device, threads=threads)


def as_problem(asked: str | Problem, place: int) -> Problem:
    """Return a problem of a question that nothing can grade, where it is none yet.

    Raises:
        UserError: It is no text.
    """
    if isinstance(asked, Problem):
        return asked
    if not isinstance(asked, str) or any("\ud800" <= character <= "\udfff" for character in asked):
        what = "is no valid Unicode: a lone surrogate" if isinstance(asked, str) else f"is {type(asked).__name__}"
        raise UserError(f"{what}; a prompt is a text or a Problem", field=f"prompts.{place}")
    return Problem(
        id=f"prompt-{place}",
        task="prompt",
        kind="open",
        level=1,
        language="en",
        messages=(Message(role="user", content=asked),),
        gold="",
    )
