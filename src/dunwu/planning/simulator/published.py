"""Published seconds of RL steps, each with its source, and what a simulation of it takes for granted.

What a source does not say is an assumption of ours, and named as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dunwu.models.shape import PUBLISHED, ModelShape
from dunwu.planning.accelerators import ACCELERATORS
from dunwu.planning.simulator.records import Layout, Lengths, Work

SIGMA: Final = 1.5
"""The skew of all lengths here; no source gives one. It was chosen with verl's rows in view: docs/scaling.md."""
SOURCES: Final = {
    "verl": "verl, docs/advance/fully_async.md, of 2026-02-05",
    "NeMo-RL": "NeMo-RL, docs/about/performance-summary.md, v0.6, H100 BF16",
    "AReaL": "AReaL, blog/AReaL_v0_3.md, table 2 (v0.3, 2025-06)",
    "R1": "DeepSeek-R1, arXiv 2501.12948v2, section 2 and table 7",
}
"""By the first word of a row's name."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published time.

    Attributes:
        name: Source, model, layout.
        published: Seconds of a step, the mean of a run.
        early: The same of its first 200 steps, where the source says; None: it does not.
        work: What the step did.
        layout: Where.
        assumed: What the source does not say.
        remark: Why the simulation may be far from it.
    """

    name: str
    published: float
    work: Work
    layout: Layout
    early: float | None = None
    assumed: str = ""
    remark: str = ""

    @property
    def source(self) -> str:
        """The document."""
        return SOURCES[self.name.partition(" ")[0]]


@dataclass(frozen=True, kw_only=True)
class FittedRow:
    """Seconds of verl's synchronous row on 32 devices, from which all constants come.

    The row is a mean of 400 steps: 790.1 s, of them 357.41 generation, 107.71 old log-probabilities, 269.80 update.
    It took 27 h 43 min for its first 200 steps and 89 h 5 min for all: answers grew in its second half, as those of
    the other rows hardly did. So the first 200 steps are fitted, and each part is taken to have the same share of them.
    """

    step: float = 790.10
    generation: float = 357.41
    forward: float = 107.71
    update: float = 269.80
    first_half_hours: float = 27 + 43 / 60
    hours: float = 89 + 5 / 60

    @property
    def growth(self) -> float:
        """By what the mean of all steps is divided to have that of the first 200."""
        return self.hours / (2 * self.first_half_hours)


FITTED_ROW: Final = FittedRow()

MATH_7B: Final = PUBLISHED["Qwen/Qwen2.5-Math-7B"]
MOE_30B: Final = PUBLISHED["Qwen/Qwen3-30B-A3B-Base"]
MOE_235B: Final = PUBLISHED["Qwen/Qwen3-235B-A22B"]
DEEPSEEK: Final = PUBLISHED["deepseek-ai/DeepSeek-V3-Base"]


def make_verl_work(mean: float, *, forward_passes: int = 1) -> Work:
    """Make the step of verl's 7B rows: 512 x 16 answers of 28k tokens at most, 16 updates.

    Args:
        mean: Tokens of an answer; not published, and fitted.
        forward_passes: 1 where the trainer computes old log-probabilities; a streaming one takes the engine's.
    """
    lengths = Lengths(mean=mean, sigma=SIGMA, cap=28_672, prompt=150)
    return Work(
        shape=MATH_7B, questions=512, group_size=16, lengths=lengths, minibatches=16, forward_passes=forward_passes
    )


def make_colocated(device: str, count: int, engine: int, rank: int) -> Layout:
    """Make a layout whose devices roll out and train by turns.

    Args:
        device: Its name.
        count: Devices.
        engine: Devices of an engine.
        rank: Devices that learn from one sequence together.
    """
    return Layout(
        accelerator=ACCELERATORS[device],
        rollout_devices=count,
        trainer_devices=count,
        engine_devices=engine,
        rank_devices=rank,
        colocated=True,
    )


def make_streaming(
    device: str, rollout: int, trainer: int, engine: int, rank: int, *, max_staleness: float, parts: int = 1
) -> Layout:
    """Make a layout with engines of their own, which go on over a change of weights.

    Args:
        device: Its name.
        rollout: Devices that generate.
        trainer: Devices that learn.
        engine: Devices of an engine.
        rank: Devices that learn from one sequence together.
        max_staleness: In rollouts.
        parts: In which the trainer takes a rollout.
    """
    return Layout(
        accelerator=ACCELERATORS[device],
        rollout_devices=rollout,
        trainer_devices=trainer,
        engine_devices=engine,
        rank_devices=rank,
        max_staleness=max_staleness,
        streams=True,
        parts=parts,
    )


def list_verl_rows(mean: float) -> list[Row]:
    """List verl's 7B rows other than the fitted one.

    Args:
        mean: Tokens of an answer in the fitted row.
    """
    grown = "its steps took longer and longer, since answers grew"
    synchronous = [
        Row(
            name=f"verl 7B, synchronous, {count}",
            published=seconds,
            early=3600 * (hours + minutes / 60) / 200,
            work=make_verl_work(mean),
            layout=make_colocated("h20", count, 4, 4),
        )
        for count, seconds, hours, minutes in ((64, 365.28, 20, 45), (128, 356.30, 17, 56))
    ]
    streaming = [
        Row(
            name=f"verl 7B, streaming, {count}:{count}, staleness {staleness:g}",
            published=seconds,
            early=3600 * (hours + minutes / 60) / 200,
            work=make_verl_work(mean, forward_passes=0),
            layout=make_streaming("h20", count, count, 4, 4, max_staleness=staleness, parts=4),
            remark=remark,
        )
        for count, staleness, seconds, hours, minutes, remark in (
            (16, 0.5, 294.77, 16, 21, ""),
            (32, 0.5, 189.26, 10, 14, ""),
            (64, 0.5, 150.63, 6, 46, grown),
            (64, 0.3, 146.11, 6, 49, grown),
            (64, 0.1, 171.30, 8, 37, grown),
            (64, 0.0, 231.34, 9, 41, "the trainer waits for the last of 8,192 answers, and ours come to their cap"),
        )
    ]
    return synchronous + streaming


def list_other_rows() -> list[Row]:
    """List the rows of other models and systems."""
    return [*_list_verl_30b(), *_list_nemo(), *_list_areal()]


def _list_verl_30b() -> list[Row]:
    rows = (
        ("synchronous, 128", 497.89, 2, make_colocated("h20", 128, 4, 4)),
        ("streaming, 96:32, staleness 0.5", 282.75, 1, make_streaming("h20", 96, 32, 4, 4, max_staleness=0.5, parts=4)),
    )
    return [
        Row(
            name=f"verl 30B-A3B, {name}",
            published=seconds,
            work=Work(
                shape=MOE_30B,
                questions=512,
                group_size=16,
                lengths=Lengths(mean=2000, sigma=SIGMA, cap=8192, prompt=150),
                minibatches=4,
                forward_passes=passes,
            ),
            layout=layout,
            assumed="mean 2,000 tokens",
            remark="its engine runs eagerly (enforce_eager): launches cost more; its mean length is not known",
        )
        for name, seconds, passes, layout in rows
    ]


def _list_nemo() -> list[Row]:
    synced = "weights reach the engines faster than the assumed 16 GB/s"
    remarks = {"DeepSeek-V3, 1-off, 256:256": synced}

    def work(shape: ModelShape, answers: int, mean: float, longest: int) -> Work:
        lengths = Lengths(mean=mean - 150, sigma=SIGMA, cap=longest - 150, prompt=150)
        return Work(
            shape=shape,
            questions=answers // 32,
            group_size=32,
            lengths=lengths,
            minibatches=answers // 512,
            forward_passes=2,
        )

    deepseek, big, small = (
        work(DEEPSEEK, 512, 701, 1536),
        work(MOE_235B, 512, 5700, 8192),
        work(MOE_30B, 2048, 3200, 4096),
    )
    rows = (
        ("DeepSeek-V3, synchronous, 256", 134, deepseek, make_colocated("h100", 256, 32, 16)),
        ("DeepSeek-V3, synchronous, 512", 111, deepseek, make_colocated("h100", 512, 32, 16)),
        ("DeepSeek-V3, 1-off, 256:256", 64.1, deepseek, _nemo_streaming(256, 256, 32, 16)),
        ("235B-A22B, synchronous, 128", 395, big, make_colocated("h100", 128, 16, 32)),
        ("235B-A22B, synchronous, 256", 312, big, make_colocated("h100", 256, 16, 32)),
        ("235B-A22B, 1-off, 128:128", 231, big, _nemo_streaming(128, 128, 8, 32)),
        ("30B-A3B, synchronous, 32", 192, small, make_colocated("h100", 32, 2, 1)),
        ("30B-A3B, 1-off, 16:16", 152, small, _nemo_streaming(16, 16, 2, 2)),
        ("30B-A3B, 8-off, 64:128", 34.5, small, _nemo_streaming(64, 128, 2, 1, max_staleness=8)),
    )
    return [
        Row(
            name=f"NeMo-RL {name}",
            published=seconds,
            work=done,
            layout=layout,
            assumed="groups of 32, prompts of 150 tokens",
            remark=remarks.get(name, ""),
        )
        for name, seconds, done, layout in rows
    ]


def _nemo_streaming(rollout: int, trainer: int, engine: int, rank: int, max_staleness: float = 1) -> Layout:
    return make_streaming("h100", rollout, trainer, engine, rank, max_staleness=max_staleness)


def _list_areal() -> list[Row]:
    assumed = (
        "batch, minibatches and staleness of the page's other run; 3 of 4 devices roll out; H800; mean 8,000 tokens"
    )
    lengths = Lengths(mean=8000, sigma=SIGMA, cap=27_648, prompt=150)
    rows = []
    for size, shape, count, hours in (
        ("1.5B", PUBLISHED["Qwen/Qwen2.5-1.5B"], 128, (41.0, 14.8)),
        ("7B", MATH_7B, 192, (57.7, 25.4)),
    ):
        work = Work(shape=shape, questions=128, group_size=16, lengths=lengths, minibatches=1)
        streaming = make_streaming("h800", 3 * count // 4, count // 4, 1, 1, max_staleness=16)
        layouts = (("synchronous", make_colocated("h800", count, 1, 1)), ("asynchronous", streaming))
        rows += [
            Row(
                name=f"AReaL {size}, {kind}, {count}",
                published=3600 * taken / 1000,
                work=work,
                layout=layout,
                assumed=assumed,
                remark="neither its batch nor its lengths are in the source",
            )
            for (kind, layout), taken in zip(layouts, hours, strict=True)
        ]
    return rows


R1_HOURS: Final = 198
"""That R1-Zero took on 512 H800."""
R1_ROLLOUTS: Final = 650
R1_CURVE: Final = ((0, 1000), (8200, 10_000), (10_400, 15_000))
"""Update and mean tokens of an answer, linear between: ours. The paper's chart ends at about 15,000."""
R1_ASSUMED: Final = (
    "mean 1,000 tokens at first, 10,000 at update 8,200 and 15,000 at the end, straight between; engines of 32 "
    "devices with weights in FP8, 16 devices a sequence in training"
)
R1_LAYOUT: Final = make_colocated("h800", 512, 32, 16)


def make_r1_work(mean: float, cap: int) -> Work:
    """Make a rollout of R1-Zero and its 16 updates.

    Args:
        mean: Tokens of an answer.
        cap: 32,768, and 65,536 from update 8,200 on.
    """
    return Work(
        shape=DEEPSEEK,
        questions=512,
        group_size=16,
        lengths=Lengths(mean=mean, sigma=SIGMA, cap=cap, prompt=150),
        minibatches=16,
        forward_passes=2,
        weight_bytes=1,
    )
