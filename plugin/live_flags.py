"""Which settings are in force now, when the operator may change the file at any moment?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from plugin.env_file import read_env_file
from plugin.errors import WrongUse
from plugin.settings import FLAGS, LIVE_FIELDS, Settings, flag_key, from_environment, settings_from

_log = structlog.get_logger()


class LiveFlags:
    """The settings in force, kept in step with the file; never raises once the service runs.

    A changed file counts from the second look that finds the same bytes, because one look may fall
    between a writer's emptying of the file and its last byte. Look about once a second.

    `held` are the flags that the environment holds against the file, `waiting` those of the file that
    wait for a restart, with the value wanted; `complaint` is why the file is not followed, or None.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = dict(environ)
        self._seen: bytes | None = None
        self._adopted: bytes | None = None
        self.complaint: str | None = None
        self.held = frozenset(key for key in environ if key in FLAGS)
        self.waiting: dict[str, str] = {}
        self._is_blind = False
        self.current = _everything_off(environ)
        try:
            content = read_env_file(path)
            self.current = settings_from(content, path, environ)
            self._seen = self._adopted = content
        except WrongUse as error:
            self._is_blind = True  # what can not change while the process runs was guessed
            self._complain(error, "everything off")
        for name in LIVE_FIELDS:
            if flag_key(name) in self._environ:
                _log.warning("flag_held_by_environment", flag=flag_key(name))

    def refresh(self) -> Settings:
        """Look at the file once and return what is in force; about 5 us where nothing changed."""
        try:
            content = read_env_file(self._path)
            settled = content == self._seen
            self._seen = content
            if content == self._adopted:
                self.complaint = None
            elif settled:
                self._adopt(settings_from(content, self._path, self._environ))
                self._adopted, self.complaint = content, None
        except WrongUse as error:
            self._complain(
                error, "everything off" if self._adopted is None else "the last good settings"
            )
        return self.current

    def _adopt(self, fresh: Settings) -> None:
        old_text, new_text = self.current.as_text(), fresh.as_text()
        changed = {
            key: name
            for key, name in FLAGS.items()
            if getattr(self.current, name) != getattr(fresh, name)
        }
        self.waiting = {key: new_text[key] for key, name in changed.items() if name not in LIVE_FIELDS}
        for key, wanted in self.waiting.items():
            _log.warning("flag_needs_restart", flag=key, kept=old_text[key], wanted=wanted)
        if self._is_blind and self.waiting:
            return  # to steer by the bars of another exchange would be worse than to go on waiting
        self._is_blind = False
        live = {name: getattr(fresh, name) for name in changed.values() if name in LIVE_FIELDS}
        for name in live:
            key = flag_key(name)
            _log.info("flag_changed", flag=key, was=old_text[key], now=new_text[key])
        self.current = dataclasses.replace(self.current, **live)

    def _complain(self, error: WrongUse, in_force: str) -> None:
        if str(error) != self.complaint:
            self.complaint = str(error)
            _log.error("settings_refused", error=str(error), in_force=in_force)


def _everything_off(environ: Mapping[str, str]) -> Settings:
    """What holds while the file can not be understood: what the environment says, where that can be.

    No exchange is asked for anything before it is known which one is wanted.
    """
    source: dict[str, Any] = {} if flag_key("source") in environ else {"source": "socket"}
    try:
        return dataclasses.replace(from_environment(environ), enabled=False, **source)
    except WrongUse:
        return Settings(enabled=False, **source)
