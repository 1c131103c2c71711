"""vLLM's side of ``dunwu bench rollout``: a script for an environment that has vLLM and not Dunwu.

    python vllm_worker.py JOB      JOB is the JSON of ``rollout_peers.Job``

For every line on stdin it does the job once and prints tokens a second.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Serve until stdin ends. Only numbers go to the real stdout: vLLM prints there too."""
    numbers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from vllm import LLM, SamplingParams

    job = json.loads(sys.argv[1])
    rows = len(job["prompts"]) * job["group"]
    model = LLM(
        job["folder"],
        dtype=job["dtype"],
        max_model_len=max(map(len, job["prompts"])) + job["max_new_tokens"],
        max_num_seqs=rows,
        enable_prefix_caching=True,
        disable_log_stats=True,
    )
    sampling = SamplingParams(
        n=job["group"],
        temperature=1.0,
        max_tokens=job["max_new_tokens"],
        ignore_eos=not job["eos_ids"],
        stop_token_ids=job["eos_ids"],
        detokenize=False,
    )
    prompts = [{"prompt_token_ids": prompt} for prompt in job["prompts"]]
    for _ in sys.stdin:
        start = time.perf_counter()
        outputs = model.generate(prompts, sampling, use_tqdm=False)
        count = sum(len(sample.token_ids) for output in outputs for sample in output.outputs)
        print(count / (time.perf_counter() - start), file=numbers, flush=True)


if __name__ == "__main__":
    main()
