"""Counters and gauges in Prometheus' text format."""

from __future__ import annotations

from dunwu.serve.http.request_counts import RequestCounts
from dunwu.serve.service import GenerationService


def write_metrics(service: GenerationService, requests: RequestCounts) -> str:
    """Write what the service does and has done: requests, samples (a request may have several) and tokens.

    Args:
        service: counts samples and tokens.
        requests: what became of requests.

    Returns:
        The lines.
    """
    counts = service.counts
    rows = (
        ("requests_total", "counter", "Requests for answers that were taken and have ended.", requests.taken),
        ("requests_cancelled_total", "counter", "Of these, whose client left before the end.", requests.cancelled),
        ("requests_refused_total", "counter", "Requests that the full queue refused.", requests.refused),
        ("samples_total", "counter", "Samples taken: choices, voters, second derivations.", counts.samples),
        ("samples_finished_total", "counter", "Of these, written to their end.", counts.finished),
        ("samples_given_up_total", "counter", "Of these, no longer wanted, or ended by a fault.", counts.given_up),
        ("samples_running", "gauge", "Samples that are written now.", service.decoding),
        ("samples_waiting", "gauge", "Samples that wait.", service.waiting),
        ("prompt_tokens_total", "counter", "Tokens of prompts, for each sample that began.", counts.prompt_tokens),
        ("prompt_tokens_reused_total", "counter", "Of these, known from earlier prompts.", service.reused_tokens),
        ("completion_tokens_total", "counter", "Tokens that samples have written.", counts.completion_tokens),
    )
    lines = [
        line
        for name, kind, help_text, value in rows
        for line in (f"# HELP dunwu_{name} {help_text}", f"# TYPE dunwu_{name} {kind}", f"dunwu_{name} {value}")
    ]
    return "\n".join(lines) + "\n"
