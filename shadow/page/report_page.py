"""The report as one page that needs nothing but a browser: no network, no script."""

from __future__ import annotations

import base64
import hashlib
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from shadow.errors import LogUnusable
from shadow.findings import Findings
from shadow.page.parts import Told
from shadow.page.story import facts, story
from shadow.page.wording import WORDS_OF_PAGE
from shadow.texts import minute, plain
from shadow.window import Window
from shadow.words import Language, luck_sentence


def write_page(path: Path, findings: Findings, window: Window, language: Language = "en") -> None:
    """Put the page at `path`, whole or not at all. Raises LogUnusable where that can not be."""
    content = render_page(findings, window, language).encode()
    draft = path.with_name(f".{path.name}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LogUnusable(f"to write {path}", reason, "name another file") from error


def render_page(findings: Findings, window: Window, language: Language = "en") -> str:
    """The page: the same text for the same findings of the same window.

    Raises LogUnusable where Jinja2, which belongs to an extra, is not installed.
    """
    told = Told(findings, window, WORDS_OF_PAGE[language])
    evidence, words = findings.evidence, told.words
    style = stylesheet() + _resource("report.css")
    text: str = _template().render(
        language=language,
        words=words,
        style=style,
        style_hash=_hash_of(style),
        simulated=evidence.simulated,
        window=words["page.window"].format(
            since=minute(evidence.since),
            now=minute(evidence.now),
            days=evidence.days,
            n=len(evidence.symbols),
            folder=plain(findings.folder),
        ),
        verdict=words[f"verdict.{findings.ready}"],
        look={True: "good", False: "bad", None: "unsure"}[findings.ready],
        luck=luck_sentence(findings.luck, evidence, language),
        silent=None if evidence.bars_recorded else words["stopped" if evidence.symbols else "empty"],
        facts=facts(told),
        sections=story(told, language),
    )
    return text


def stylesheet() -> str:
    """The look that the report and the dashboard share."""
    return _resource("style.css")


def _resource(name: str) -> str:
    return files("shadow.page").joinpath(name).read_text(encoding="utf-8")


def _hash_of(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


@cache
def _template() -> Any:
    # An extra: the report on a terminal goes without.
    try:
        import jinja2
    except ImportError as error:
        raise LogUnusable("Jinja2 for the page", "missing", "install shadowgate[report]") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_resource("report.html.j2"))
