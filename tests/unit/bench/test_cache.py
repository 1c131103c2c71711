"""The benchmark of the cache: what is served again is what was voted on, and right answers are told from wrong ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dunwu import tasks
from dunwu.bench.cache import is_right, measure_again
from dunwu.bench.grammar import SIDES, open_model
from dunwu.config.schema import TaskSpec
from dunwu.serve.path_cache.store import PathCache
from dunwu.serve.path_memory import PathMemory
from dunwu.serve.service import GenerationService
from dunwu.types import Problem


@pytest.fixture
def problems() -> tuple[Problem, ...]:
    return tasks.build_task(TaskSpec(task="countdown", languages=("en", "zh")), 0).get_held_out(6)


@pytest.fixture
def service() -> Iterator[GenerationService]:
    service = GenerationService(open_model(SIDES["nano base"]))
    yield service
    service.stop(0.0)


def test_what_is_served_again_was_voted_on(
    service: GenerationService, problems: tuple[Problem, ...], tmp_path: Path
) -> None:
    with PathCache(tmp_path / "cache", 1 << 20) as cache:
        found = measure_again(service, PathMemory(cache, service.model, hints=False), problems)
    assert found["served_for_another_question"] == 0
    assert found["found_again_of_kept"].startswith("100.0 %")
    assert found["tokens_saved_a_question"] > 8


def test_right_answers_are_told_from_wrong_ones(problems: tuple[Problem, ...]) -> None:
    assert all(is_right(problem, problem.gold) for problem in problems)
    assert not is_right(problems[0], problems[1].gold)
