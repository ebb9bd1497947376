"""Does the manifest say completely where the bundle came from, and do we know the libraries?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from gates.base import Candidate, answer, not_known
from gates.limits import Limits
from plugin.manifest import GateResult, Kind, Manifest

KNOWN_MAJORS: Mapping[Kind, tuple[str, int]] = MappingProxyType(
    {"lightgbm": ("lightgbm", 4), "xgboost": ("xgboost", 3), "onnx": ("onnxruntime", 1)}
)
"""The library behind each kind of member, and the major version whose files our readers know."""
_LIMIT = "nothing missing"
_HEX_DIGITS = 64


def metadata(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """Bars with hashes, settings, label, time of creation, libraries, figures at every horizon."""
    if candidate.manifest is None:
        return [not_known("metadata", "shadow", _LIMIT, "the bundle is not intact")]
    missing = list(_missing(candidate.manifest))
    if missing:
        found = "; ".join(missing)
        return [answer("metadata", "shadow", found, _LIMIT, "fail", f"the manifest lacks: {found}")]
    well = "the manifest says on which bars, how and by which libraries it was made"
    return [answer("metadata", "shadow", "complete", _LIMIT, "pass", well)]


def _missing(manifest: Manifest) -> Iterator[str]:
    needed = {*manifest.symbols, *(one for three in manifest.companions.values() for one in three)}
    for symbol in sorted(needed):
        bars = manifest.bars.get(symbol)
        if bars is None or bars.n_bars < 1 or not _is_sha256(bars.sha256):
            yield f"bars of {symbol} with their hash"
    for name in ("settings", "label", "venue"):
        if not getattr(manifest, name):
            yield name
    if not _is_time(manifest.created):
        yield f"a time of creation with its zone, was {manifest.created!r}"
    regime = (manifest.regime,) if manifest.regime else ()
    for kind in sorted({model.kind for model in (*manifest.members, *regime)}):
        library, major = KNOWN_MAJORS[kind]
        version = manifest.libraries.get(library, "none")
        if version.split(".")[0] != str(major):
            yield f"{library} {major}, was {version}"
    for horizon in manifest.horizons:
        if not manifest.metrics.get(str(horizon)):
            yield f"metrics at {horizon} bars"


def _is_sha256(text: str) -> bool:
    return len(text) == _HEX_DIGITS and all(digit in "0123456789abcdef" for digit in text)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
