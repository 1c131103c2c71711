"""Counters and gauges in Prometheus' text format."""

from __future__ import annotations

from dunwu.serve.service import GenerationService


def write_metrics(service: GenerationService) -> str:
    """Write what the service does and has done."""
    counts = service.counts
    rows = (
        ("requests_total", "counter", "Requests that were taken.", counts.requests),
        ("requests_refused_total", "counter", "Requests that the full queue refused.", counts.refused),
        ("requests_cancelled_total", "counter", "Requests whose client left.", counts.cancelled),
        ("answers_total", "counter", "Answers that were finished.", counts.finished),
        ("prompt_tokens_total", "counter", "Tokens of prompts.", counts.prompt_tokens),
        ("prompt_tokens_reused_total", "counter", "Of these, known from earlier prompts.", service.reused_tokens),
        ("completion_tokens_total", "counter", "Tokens of finished answers.", counts.completion_tokens),
        ("answers_running", "gauge", "Answers that are written now.", service.decoding),
        ("answers_waiting", "gauge", "Answers that wait.", service.waiting),
    )
    lines = [
        line
        for name, kind, help_text, value in rows
        for line in (f"# HELP dunwu_{name} {help_text}", f"# TYPE dunwu_{name} {kind}", f"dunwu_{name} {value}")
    ]
    return "\n".join(lines) + "\n"
