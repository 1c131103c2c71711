"""How the models behind servers were asked, as a table of the report."""

from __future__ import annotations

from dunwu.observatory.report import page
from dunwu.runs import StageReader

HEADS = ("sent", "refused", "calls itself")
NOTE = (
    "Sampling is by temperature and top-p; everything else is sent as switched off. What a server takes and does not "
    "heed cannot be seen from here."
)


def servers_table(stage: StageReader) -> str:
    """A row a model: the sampling fields that were sent, what was refused, what the server calls itself; "" where no
    server was asked."""
    rows = [
        [
            page.text(model),
            page.text(", ".join(f"{name} {value}" for name, value in record.sent.items())),
            page.text(
                "; ".join(f"{name} ({words})" if words else name for name, words in record.refused.items()) or "–"
            ),
            page.text(", ".join(record.says.values()) or "–"),
        ]
        for model, record in stage.read_servers().items()
    ]
    if not rows:
        return ""
    return page.table(f"How the servers were asked. {NOTE}", ["model", *HEADS], rows, words=(1, 2, 3))
