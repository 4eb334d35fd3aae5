"""Which format a request has, and which one it wants.

Starlette does not read Accept; python-mimeparse takes TEXT/CSV for another type than text/csv, and
a weight that is no number for 1.
"""

from typing import Mapping, Tuple

from .formats import CSV, JSON
from .refused import Refused


def content_type(headers: Mapping[str, str]) -> str:
    """JSON or CSV, from Content-Type; `Refused` for anything else."""
    value = headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in value.split(";"))
    if kind not in (JSON, CSV):
        given = f"'{kind[:60]}'" if kind else "no Content-Type"
        raise Refused(415, f"{given}; expected Content-Type: {JSON} or {CSV}")
    for parameter in parameters:
        name, _, charset = parameter.partition("=")
        if name == "charset" and charset.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise Refused(415, f"charset '{charset[:40]}'; expected UTF-8")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "compressed bodies are not taken; send it without Content-Encoding")
    return kind


def wanted_type(headers: Mapping[str, str], default: str) -> str:
    """JSON or CSV, the one Accept prefers; `default` where it does not say."""
    value = headers.get("accept", "").strip()
    if not value:
        return default
    weights = dict(_weighted(part) for part in value.lower().split(","))
    choices = {
        JSON: weights.get(JSON, weights.get("application/*", weights.get("*/*", 0.0))),
        CSV: weights.get(CSV, weights.get("text/*", weights.get("*/*", 0.0))),
    }
    best = max(choices, key=lambda kind: (choices[kind], kind == default))
    if choices[best] <= 0.0:
        raise Refused(406, f"Accept: '{value[:60]}'; there are {JSON} and {CSV}")
    return best


def _weighted(part: str) -> Tuple[str, float]:
    """The media type of one part of Accept and its weight q."""
    kind, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        name, _, weight = parameter.partition("=")
        if name.strip() == "q":
            try:
                return kind, float(weight)
            except ValueError:
                return kind, 0.0
    return kind, 1.0
