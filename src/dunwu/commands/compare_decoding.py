"""``dunwu compare-decoding``: greedy, votes, best of n and guided search at equal tokens, on a run's held-out problems.

Nothing that chooses knows the right answer: the guides are rules that read the chain, and a reward model. How often one
of n samples is right is shown as the ceiling of whoever chooses among them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from dunwu.commands.ablate import choose_problems, find_rl_stage
from dunwu.commands.guide import open_reward_guide
from dunwu.config.schema import RLStage
from dunwu.evaluation.estimators import estimate_auroc
from dunwu.models.templates import Template
from dunwu.monitoring.progress import Monitor
from dunwu.observatory.charts import Chart, Point, Series
from dunwu.observatory.report.figure_files import check_fonts, write_panels
from dunwu.pipeline.stages.grading import open_grader
from dunwu.pipeline.stages.prompts import build_encoder, encode_held_out
from dunwu.rollout.seeds import derive_seed
from dunwu.runs import RunReader
from dunwu.runs.atomic import atomic_write, make_directory
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.decoding_curves import (
    DecodingPoint,
    GradedSample,
    Pool,
    compute_adaptive_curve,
    compute_best_curve,
    compute_ceiling,
    compute_vote_curve,
    compute_weighted_curve,
    make_point,
)
from dunwu.serve.guided import SearchLimits, search, to_draft
from dunwu.serve.guides import RULES, Guide, RewardModelGuide, RuleGuide
from dunwu.serve.records import ChatRequest, Choice, derive_seeds
from dunwu.serve.reply import Reply
from dunwu.serve.service import GenerationService
from dunwu.serve.workers import ServiceLimits
from dunwu.types import Completion, Message, Problem
from dunwu.verifiers import RewardGrader

REWARD_MODEL: Final = "reward model"
WIDTHS: Final = (2, 4, 8, 16)
SEARCHES: Final = 16
"""Searches at once."""
QUEUE: Final = 1 << 20
"""Answers that may wait: all that is asked for at once."""
IN_FLIGHT: Final = 8
"""Problems whose samples are written at once."""
MEMORY: Final = 128 << 20
"""Bytes of keys and values: what is kept of earlier steps is looked through for each new one."""
CEILING: Final = "one of n is right"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCurves:
    """What every way to answer reaches with one model.

    Attributes:
        model: its name.
        points: by method and setting.
        auc: how well each guide ranks right before wrong answers of the pool, by its name; the mean over problems that
            have both.
    """

    model: str
    points: Sequence[DecodingPoint]
    auc: Mapping[str, float]


def compare_decoding(
    directory: Path,
    guide: str | None,
    *,
    problems: int,
    samples: int,
    seed: int,
    chosen: str | None,
    out: Path,
    progress: Monitor,
) -> list[ModelCurves]:
    """Measure ways to answer with a run's first model and its trained one; write OUT/decoding.json, .svg and .png.

    Args:
        directory: A run with a finished stage of reinforcement learning.
        guide: A run that made a reward model, or RUN:STAGE; None: rules alone guide.
        problems: Held-out problems, at most.
        samples: Of each problem in the pool that votes and best-of-n choose from.
        seed: The same seed gives the same files.
        chosen: The name of the evaluation set; None: the stage's first.
        out: Where the files go.
        progress: Shows how far it is.

    Returns:
        What each model came to.

    Raises:
        UserError: The folder holds no such run, or the guide is no reward model.
        Fault: A file cannot be written, or this machine has no font to write labels with.
    """
    check_fonts()
    run = RunReader(directory)
    name, stage = find_rl_stage(run, None)
    setup = _Setup(run, stage, problems, samples, seed, chosen, progress)
    guides: dict[str, Guide] = {"rules": RuleGuide(RULES, stage.reward)}
    if guide is not None:
        guides[REWARD_MODEL] = open_reward_guide(guide, counts=True)
    base = str(run.stage(stage.from_).model) if stage.from_ in run.stages else stage.from_
    make_directory(out)
    found = []
    for label, source in ((stage.from_, base), (f"{stage.from_}, trained", str(run.stage(name).model))):
        progress.show_activity(f"asking {label}")
        found.append(setup.measure(label, source, guides))
        atomic_write(out / "decoding.json", json.dumps([asdict(one) for one in found], indent=1).encode())
        progress.log_message(f"{label}: {len(found[-1].points)} points")
    write_panels(out, [plot_curves(one) for one in found], "decoding")
    return found


class _Setup:
    """Problems, and how they are asked and graded. See ``compare_decoding``."""

    def __init__(
        self,
        run: RunReader,
        stage: RLStage,
        problems: int,
        samples: int,
        seed: int,
        chosen: str | None,
        progress: Monitor,
    ) -> None:
        self._run, self._stage, self._samples, self._seed, self._progress = run, stage, samples, seed, progress
        self._set = choose_problems(stage, problems, progress, chosen)
        self._most = problems

    def measure(self, label: str, source: str, guides: Mapping[str, Guide]) -> ModelCurves:
        """Sample the pool, search with each guide, and grade all."""
        stage = self._stage
        model = ChatModel(label, source, stage.prompt.template, stage.rollout.stop, stage.model)
        problems = self._draw(model)
        limits = ServiceLimits(queue=QUEUE, memory=MEMORY)
        service = GenerationService(model, limits)
        with closing_service(service), open_grader(stage.reward, [self._set.task], self._progress) as grader:
            asking = _Asking(service, grader, guides, stage.evaluation_sampling.max_new_tokens, self._seed)
            pool = asking.sample(problems, self._samples)
            points = [asking.answer_greedily(problems), *compute_curves(pool, guides)]
            for name in guides:
                points += [asking.search(problems, name, width) for width in WIDTHS]
        return ModelCurves(model=label, points=points, auc={name: rank_answers(pool, name) for name in guides})

    def _draw(self, model: ChatModel) -> list[Problem]:
        stage = self._stage
        template = Template(stage.prompt, model.policy.tokenizer)
        instruct = build_encoder(template, stage.prompt, stage.reward, stage.inputs.every_task).instruct
        prompts = encode_held_out([self._set], self._run.seed, template, instruct)[self._set.name]
        return [instruct(prompt.problem) for prompt in prompts[: self._most]]


class _Asking:
    """A model that answers problems in one way or another, each answer graded."""

    def __init__(
        self,
        service: GenerationService,
        grader: RewardGrader,
        guides: Mapping[str, Guide],
        max_tokens: int,
        seed: int,
    ) -> None:
        self._service, self._grader, self._guides = service, grader, guides
        self._max_tokens, self._seed = max_tokens, seed
        self._opening = service.model.encode([Message(role="user", content="?")])[1]

    def sample(self, problems: Sequence[Problem], count: int) -> list[list[GradedSample]]:
        """Sample ``count`` replies to each problem; grade them, and have each guide score them."""
        replies, pool = deque[Reply](), list[list[GradedSample]]()
        waiting = iter(problems)
        for problem in problems:  # a few at once: replies that wait to be graded hold memory
            for one in islice(waiting, IN_FLIGHT - len(replies)):
                replies.append(self._service.submit(self._ask(one, count), streams=False))
            reply = replies.popleft()
            reply.join()
            pool.append(self._grade_group(problem, reply.collect()))
        return pool

    def answer_greedily(self, problems: Sequence[Problem]) -> DecodingPoint:
        """Answer each problem with the likeliest tokens."""
        replies = [self._service.submit(self._ask(one, 1, temperature=0.0), streams=False) for one in problems]
        for reply in replies:
            reply.join()
        choices = [reply.collect()[0] for reply in replies]
        right = [self._is_right(*pair) for pair in zip(problems, choices, strict=True)]
        return make_point("greedy", "", right, [choice.tokens for choice in choices])

    def search(self, problems: Sequence[Problem], name: str, width: int) -> DecodingPoint:
        """Search an answer to each problem under a guide."""
        guide, limits = self._guides[name], SearchLimits(width=width)
        with ThreadPoolExecutor(SEARCHES) as pool:
            found = list(pool.map(lambda one: search(self._service, self._ask(one, 1), guide, limits), problems))
        read = sum(_take_lengths(guide)) / len(problems)
        right = [self._is_right(problem, one.chosen) for problem, one in zip(problems, found, strict=True)]
        tokens = [one.tokens for one in found]
        dropped = sum(one.guidance_share * one.tokens for one in found) / sum(tokens)
        return make_point(f"guided by {name}", str(width), right, tokens, [read], dropped)

    def _ask(self, problem: Problem, count: int, temperature: float = 1.0) -> ChatRequest:
        seeds = derive_seeds(derive_seed(self._seed, "decoding", problem.id), count)
        return ChatRequest(messages=problem.messages, seeds=seeds, temperature=temperature, max_tokens=self._max_tokens)

    def _grade_group(self, problem: Problem, choices: Sequence[Choice]) -> list[GradedSample]:
        drafts = [to_draft(self._service.model, self._opening, choice, choice.finish) for choice in choices]
        scores, read = dict[str, list[float]](), dict[str, list[int]]()
        for name, guide in self._guides.items():
            scores[name] = guide.score(problem.messages, drafts)
            read[name] = _take_lengths(guide) or [0] * len(drafts)
        return [
            GradedSample(
                content=choice.content,
                cut=choice.finish == "length",
                right=self._is_right(problem, choice),
                tokens=choice.tokens,
                scores={name: scores[name][place] for name in scores},
                read={name: read[name][place] for name in read},
            )
            for place, choice in enumerate(choices)
        ]

    def _is_right(self, problem: Problem, choice: Choice) -> bool:
        draft = to_draft(self._service.model, self._opening, choice, choice.finish)
        completion = Completion(
            token_ids=np.array(choice.token_ids, dtype=np.int32),
            logprobs=np.zeros(len(choice.token_ids), dtype=np.float32),
            text=draft.text,
            finish="length" if choice.finish == "length" else "stop",
            version_spans=(),
        )
        return self._grader.score(problem, completion).parts.get("accuracy") == 1.0


def compute_curves(pool: Pool, guides: Mapping[str, Guide]) -> list[DecodingPoint]:
    """Compute what votes and best-of-n come to, and the ceiling."""
    points = [*compute_vote_curve(pool), *compute_adaptive_curve(pool)]
    for name in guides:
        points += compute_best_curve(pool, name)
    if REWARD_MODEL in guides:
        points += compute_weighted_curve(pool, REWARD_MODEL)
    return [*points, *compute_ceiling(pool)]


def rank_answers(pool: Pool, guide: str) -> float:
    """Average over problems how often a guide scores a right answer above a wrong one."""
    shares = []
    for samples in pool:
        right = np.array([one.right for one in samples])
        if right.any() and not right.all():
            scores = np.array([one.scores[guide] for one in samples])
            shares.append(estimate_auroc(scores, right).value)
    return float(np.mean(shares)) if shares else float("nan")


def plot_curves(curves: ModelCurves) -> Chart:
    """Plot accuracy against tokens, a curve for each way to answer."""
    methods = dict.fromkeys(point.method for point in curves.points)
    series = [
        Series(
            label=method,
            points=[Point(one.tokens, one.accuracy) for one in curves.points if one.method == method],
            kind="dots" if method == "greedy" else "line",
            colour="right" if method == CEILING else "",
        )
        for method in methods
    ]
    return Chart(
        title=curves.model,
        series=series,
        y_label="right answers",
        x_label="tokens a problem",
        share=True,
        log_x=True,
    )


@contextmanager
def closing_service(service: GenerationService) -> Iterator[GenerationService]:
    """Stop a service when the block ends."""
    try:
        yield service
    finally:
        service.stop(0.0)


def _take_lengths(guide: Guide) -> list[int]:
    """Return the tokens of each text that a guide has read since it was last asked; none where rules read."""
    return guide.take_lengths() if isinstance(guide, RewardModelGuide) else []
