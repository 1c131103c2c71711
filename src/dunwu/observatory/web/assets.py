"""The files of ``assets/`` that pages load, and the policy that lets them load nothing else."""

from __future__ import annotations

from importlib import resources

from fastapi.responses import Response
from starlette.exceptions import HTTPException

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""``Content-Security-Policy``: what a page may load is its own server's, and nothing stands inline."""
_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def send_asset(name: str) -> Response:
    """Answer with a file.

    Args:
        name: ``report.css``, or what lies in ``assets/web/``.

    Raises:
        HTTPException: There is no such file.
    """
    assets = resources.files("dunwu") / "assets"
    files = [assets / "report.css", *(assets / "web").iterdir()]
    file = next((file for file in files if file.name == name), None)
    if file is None:
        raise HTTPException(404)
    return Response(file.read_bytes(), media_type=_KINDS[name.rpartition(".")[2]])
