"""The simulator keeps what it should: tokens, limits, and the direction in which things go."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dunwu.models.flops import count_forward_flops
from dunwu.models.shape import PUBLISHED
from dunwu.planning.accelerators import ACCELERATORS
from dunwu.planning.simulator.cluster import compute_slowdown, compute_sync_seconds, simulate_step
from dunwu.planning.simulator.decode import DecodeCost, Engine, compute_generation_seconds
from dunwu.planning.simulator.records import Costs, Failures, Layout, Lengths, Work
from dunwu.planning.simulator.streaming import Stream
from dunwu.planning.simulator.training import compute_forward_seconds, compute_update_seconds

COSTS = Costs(train_share=0.5, forward_share=0.25, decode_share=0.6, layer_seconds=2e-4, sync_bandwidth=16e9)
SHAPE = PUBLISHED["Qwen/Qwen2.5-1.5B"]
WORK = Work(
    shape=SHAPE,
    questions=32,
    group_size=8,
    lengths=Lengths(mean=400, sigma=1.0, cap=4000, prompt=100),
    minibatches=4,
)
LAYOUT = Layout(accelerator=ACCELERATORS["h100"], rollout_devices=4, trainer_devices=4, max_staleness=1)
STREAMING = replace(LAYOUT, streams=True, parts=4)
TOGETHER = replace(LAYOUT, colocated=True)


@pytest.mark.parametrize(("mean", "sigma", "cap"), [(400, 1.0, 4000), (390, 1.5, 28_672), (5000, 1.5, 8192)])
def test_lengths_have_their_mean_after_the_cap(mean: float, sigma: float, cap: int) -> None:
    lengths = Lengths(mean=mean, sigma=sigma, cap=cap, prompt=0)
    drawn = lengths.draw(np.random.default_rng(0), 400_000)
    assert drawn.mean() == pytest.approx(mean, rel=0.02)
    assert drawn.min() >= 1
    assert drawn.max() == cap


def test_lengths_without_skew_are_alike() -> None:
    drawn = Lengths(mean=300, sigma=0, cap=4000, prompt=0).draw(np.random.default_rng(0), 5)
    assert drawn.tolist() == [300] * 5
    assert Lengths(mean=4000, sigma=1.0, cap=4000, prompt=0).draw(np.random.default_rng(0), 10**4).mean() < 4000


def test_one_answer_takes_a_read_of_the_weights_and_of_its_cache_a_token() -> None:
    cost = DecodeCost(WORK, LAYOUT, replace(COSTS, layer_seconds=0.0))
    seconds = compute_generation_seconds([1000], 0, 1, cost)
    positions = sum(100 + token + 0.5 for token in range(1000))
    read = 1000 * 2 * SHAPE.parameters + 2 * SHAPE.kv_values * positions
    assert seconds == pytest.approx(read / (0.6 * 3.35e12), rel=1e-9)


def test_many_answers_are_bound_by_products() -> None:
    device = ACCELERATORS["h20"]._replace(bandwidth=1e18)  # reading costs nothing
    cost = DecodeCost(WORK, replace(LAYOUT, accelerator=device), replace(COSTS, layer_seconds=0.0))
    seconds = compute_generation_seconds([500] * 64, 0, 1, cost)
    flops = 64 * sum(count_forward_flops(SHAPE, 2 * (100 + token + 0.5)) for token in range(500))
    assert seconds == pytest.approx(flops / (0.6 * 148e12), rel=1e-9)


def test_a_mixture_reads_the_experts_that_its_rows_ask_for() -> None:
    shape = PUBLISHED["Qwen/Qwen3-30B-A3B-Base"]
    cost = DecodeCost(replace(WORK, shape=shape), replace(LAYOUT, engine_devices=4), replace(COSTS, layer_seconds=0.0))
    one, many = cost.compute_token_seconds(1, 0), cost.compute_token_seconds(64, 0)
    assert one == pytest.approx(2 * shape.active / (0.6 * 4 * 3.35e12))
    assert many == pytest.approx(2 * shape.parameters / (0.6 * 4 * 3.35e12), rel=1e-3)


def test_an_engine_writes_every_token_of_every_answer() -> None:
    engine = Engine(DecodeCost(WORK, LAYOUT, COSTS))
    lengths = [3, 50, 50, 1, 700]
    for owner, length in enumerate(lengths):
        engine.add(owner, length)
    order = [engine.finish_next() for _ in lengths]
    assert [lengths[owner] for owner in order] == sorted(lengths)
    assert engine.tokens == sum(lengths)
    assert (engine.rows, engine.positions, engine.find_next_end()) == (0, 0, math.inf)


def test_an_engine_that_is_looked_at_on_the_way_writes_the_same() -> None:
    cost = DecodeCost(WORK, LAYOUT, COSTS)
    straight, stopped = Engine(cost), Engine(cost)
    for engine in (straight, stopped):
        engine.add(0, 800)
        engine.add(1, 1600)
    for share in (0.2, 0.5, 0.9):
        stopped.advance(share * straight.find_next_end())
    for engine in (straight, stopped):
        assert [engine.finish_next(), engine.finish_next()] == [0, 1]
    assert stopped.tokens == pytest.approx(straight.tokens)
    assert stopped.now == pytest.approx(straight.now, rel=0.01)


def test_new_weights_cost_an_engine_a_pass_over_its_cache() -> None:
    engine = Engine(DecodeCost(WORK, LAYOUT, COSTS))
    engine.interrupt(2.0)
    assert engine.now == 2.0
    engine.add(0, 900)
    engine.add(1, 2000)
    engine.finish_next()
    before = engine.now
    assert engine.positions == 100 + 900
    engine.interrupt(2.0)
    assert engine.now - before - 2.0 == pytest.approx(1000 * count_forward_flops(SHAPE, 1000) / (0.6 * 989e12))


def test_answers_wait_where_an_engine_has_no_room() -> None:
    cost = DecodeCost(WORK, LAYOUT, COSTS)
    together = compute_generation_seconds([500] * 8, 0, 1, cost)
    cost.max_rows = 4
    assert together < compute_generation_seconds([500] * 8, 0, 1, cost) < 2.01 * together
    lengths = Lengths(mean=1e5, sigma=0, cap=10**6, prompt=0)
    huge = replace(WORK, shape=PUBLISHED["Qwen/Qwen2.5-Math-7B"], lengths=lengths)
    assert DecodeCost(huge, LAYOUT, COSTS).max_rows == int((0.8 * 80 * 2**30 - 2 * 7_615_616_512) / (28_672 * 2 * 1e5))


@pytest.mark.parametrize("staleness", [0, 0.5, 3])
def test_a_stream_counts_every_token_and_holds_its_staleness(staleness: float) -> None:
    stream = Stream(WORK, replace(STREAMING, max_staleness=staleness), COSTS, 0.1, seed=1)
    done = stream.run(5)
    assert done.ends == sorted(done.ends)
    assert len(done.ends) == len(done.update) == 5
    assert len(stream.lengths) == (5 + 1 + staleness) * WORK.questions  # versions, the first rollout, staleness
    finished = [lengths for lengths, left in zip(stream.lengths, stream.missing, strict=True) if left == 0]
    assert done.finished == sum(int(lengths.sum()) for lengths in finished)
    taken = len(finished) - len(stream.ready)  # each once, and perhaps a part of the next rollout
    assert taken - 5 * WORK.questions in (0, WORK.questions // 4)
    begun = sum(int(lengths.sum()) for lengths in stream.lengths)
    assert done.finished <= done.tokens * (1 + 1e-9) <= begun


def test_one_device_does_one_thing_after_the_other() -> None:
    alone = replace(TOGETHER, rollout_devices=1, trainer_devices=1)
    found = simulate_step(WORK, alone, COSTS)
    assert found.step == pytest.approx(found.generation + found.forward + found.update + found.sync)
    assert found.low < found.step < found.high
    tokens = WORK.lengths.draw(np.random.default_rng(0), WORK.answers) + 100.0
    flops = sum(length * count_forward_flops(SHAPE, length) for length in tokens)
    update = compute_update_seconds(tokens.astype(np.int64) - 100, WORK, alone, COSTS, np.random.default_rng(0))
    assert update == pytest.approx(4 * flops / (0.5 * 989e12))  # one rank waits for nobody


def test_without_staleness_other_devices_are_no_faster_than_the_same_ones() -> None:
    apart = simulate_step(WORK, replace(LAYOUT, max_staleness=0), COSTS)
    together = simulate_step(WORK, TOGETHER, COSTS)
    assert apart == together
    assert simulate_step(WORK, replace(TOGETHER, max_staleness=3), COSTS) == together


@pytest.mark.parametrize("trainer", [1, 4])
def test_staleness_hides_the_shorter_of_rollout_and_training(trainer: int) -> None:
    work = replace(WORK, lengths=replace(WORK.lengths, sigma=0.0))
    layout = replace(LAYOUT, trainer_devices=trainer)
    found = simulate_step(work, layout, COSTS)
    training = found.forward + found.update + found.sync
    assert (training > found.generation) == (trainer == 1)
    assert found.step == pytest.approx(max(found.generation, training))
    assert simulate_step(work, replace(layout, max_staleness=2), COSTS).step == pytest.approx(found.step)
    assert simulate_step(work, replace(layout, max_staleness=0), COSTS).step == pytest.approx(
        found.generation + training
    )


def test_a_stream_is_faster_than_whole_rollouts_and_faster_with_more_staleness() -> None:
    work = replace(WORK, forward_passes=0)
    steps = [simulate_step(work, replace(STREAMING, max_staleness=s), COSTS).step for s in (0, 0.25, 1)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 1.2 * steps[2]
    assert steps[2] < simulate_step(work, LAYOUT, COSTS).step


def test_weights_over_an_endless_line_cost_nothing() -> None:
    free = replace(COSTS, sync_bandwidth=math.inf)
    assert compute_sync_seconds(WORK, free) == 0
    slow = simulate_step(WORK, TOGETHER, COSTS)
    assert slow.step - simulate_step(WORK, TOGETHER, free).step == pytest.approx(2 * SHAPE.parameters / 16e9)


@pytest.mark.parametrize("layout", [TOGETHER, LAYOUT, STREAMING])
def test_more_devices_are_faster_and_longer_answers_slower(layout: Layout) -> None:
    steps = [
        simulate_step(WORK, replace(layout, rollout_devices=count, trainer_devices=count), COSTS).step
        for count in (1, 4, 16)
    ]
    assert steps == sorted(steps, reverse=True)
    longer = [
        simulate_step(replace(WORK, lengths=replace(WORK.lengths, mean=mean)), layout, COSTS).step
        for mean in (200, 400, 800)
    ]
    assert longer == sorted(longer)


def test_ranks_wait_for_the_longest_answer() -> None:
    """Sixteen ranks are not sixteen times as fast as one: each minibatch has one answer that takes long."""
    lengths = np.full(256, 50)
    lengths[::64] = 4000
    one, many = (replace(TOGETHER, trainer_devices=ranks) for ranks in (1, 16))
    rng = np.random.default_rng(0)
    alone = compute_update_seconds(lengths, WORK, one, COSTS, rng)
    assert alone / 16 < compute_update_seconds(lengths, WORK, many, COSTS, rng) < alone
    assert compute_forward_seconds(lengths, WORK, many, COSTS) > compute_forward_seconds(lengths, WORK, one, COSTS) / 16
    assert compute_forward_seconds(lengths, replace(WORK, forward_passes=0), one, COSTS) == 0


def test_a_seed_gives_the_same_again() -> None:
    for layout in (TOGETHER, LAYOUT, STREAMING):
        first = simulate_step(WORK, layout, COSTS, seeds=(3, 4))
        assert simulate_step(WORK, layout, COSTS, seeds=(3, 4)) == first
        assert simulate_step(WORK, layout, COSTS, seeds=(5, 6)) != first


def test_failures_draw_a_run_out() -> None:
    failures = Failures(hours_between=1000, restart_seconds=600)
    assert compute_slowdown(100, 100, None) == 1
    assert compute_slowdown(100, 100, failures) == pytest.approx(1 / (1 - 0.1 / 3600 * 650))
    assert compute_slowdown(100, 10**6, failures) == math.inf
    broken = simulate_step(WORK, TOGETHER, COSTS, failures=failures)
    assert broken.step > simulate_step(WORK, TOGETHER, COSTS).step
