"""The benchmark of known beginnings measures what it says: one text is known, and the other is read."""

from dunwu.bench.grammar import SIDES, open_model
from dunwu.bench.prefix import ROUNDS, make_request, measure_length


def test_only_the_shared_text_is_known() -> None:
    model = open_model(SIDES["nano base"])
    prompts = [model.encode(make_request(model, text, 64, 0).messages)[0] for text in range(ROUNDS)]
    assert len({tuple(prompt[:8]) for prompt in prompts}) == ROUNDS, "no two texts begin alike"
    found = measure_length(model, 64)
    assert 64 < found["prompt_tokens"] < 100
    assert 64 / found["prompt_tokens"] <= found["reused_share"] < 1
    assert found["ours"] > 0
    assert found["peers"]["new text"] > 0
