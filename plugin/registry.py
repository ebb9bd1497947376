"""Which bundles are there, which of them serves, and who decided that?

models/bundles/<id>/          one folder a bundle, never changed after it is written
models/champion               a pointer: the id of the bundle that serves, and its manifest's hash
models/verdicts/<id>.json     a gate report made later than the bundle, from shadow evidence
models/history.jsonl          one line per move of a pointer
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from plugin.durable import append_line, replace_file
from plugin.errors import BundleRefused, WrongUse
from plugin.manifest import MANIFEST_HASH_FILE, GateReport, Manifest


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A move of the champion pointer; the newest one is the pointer itself."""

    role: str
    bundle_id: str
    manifest_sha256: str
    at: str
    who: str
    why: str


class Registry:
    """The folder that `ML_MODELS_DIR` names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundles = folder / "bundles"

    def champion(self) -> Pointer | None:
        """The pointer to the bundle that serves; None where none was ever appointed.

        Raises BundleRefused where the pointer can not be read: a damaged one is not "none".
        """
        path = self.folder / "champion"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Pointer)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise BundleRefused(str(path), "a pointer to a bundle", error) from error

    def appoint(self, bundle_id: str, *, at: str, who: str, why: str) -> Pointer:
        """Make a bundle the champion and say so in the history.

        Raises WrongUse where there is no such bundle, BundleRefused where its hash can not be read.
        """
        manifest_hash = self._manifest_hash(bundle_id)
        pointer = Pointer("champion", bundle_id, manifest_hash, at, who, why)
        line = msgspec.json.encode(pointer)
        # History first: a move that is not told is worse than one that is told and did not happen.
        append_line(self.folder / "history.jsonl", line)
        replace_file(self.folder / "champion", line + b"\n")
        return pointer

    def bundle_folder(self, pointer: Pointer) -> Path:
        """The folder that a pointer names.

        Raises WrongUse where there is none, BundleRefused where its manifest is another one.
        """
        if self._manifest_hash(pointer.bundle_id) != pointer.manifest_sha256:
            raise BundleRefused(MANIFEST_HASH_FILE, f"{pointer.manifest_sha256[:12]}…", "another hash")
        return self.bundles / pointer.bundle_id

    def verdict(self, manifest: Manifest) -> GateReport | None:
        """The newest gate report on a bundle; None where no gate ever looked at it.

        Raises BundleRefused where a later report can not be read.
        """
        path = self.verdict_file(manifest.bundle_id)
        try:
            return msgspec.json.decode(path.read_bytes(), type=GateReport)
        except FileNotFoundError:
            return manifest.gate_report
        except (OSError, msgspec.MsgspecError) as error:
            raise BundleRefused(str(path), "a gate report", error) from error

    def verdict_file(self, bundle_id: str) -> Path:
        """Where a report made after the bundle lies."""
        return self.folder / "verdicts" / f"{bundle_id}.json"

    def _manifest_hash(self, bundle_id: str) -> str:
        known = sorted(entry.name for entry in self.bundles.glob("*"))
        if bundle_id not in known:
            raise WrongUse(
                f"a bundle below {self.bundles}", bundle_id, f"there are: {', '.join(known) or 'none'}"
            )
        path = self.bundles / bundle_id / MANIFEST_HASH_FILE
        try:
            return path.read_text("ascii").split()[0]
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise BundleRefused(MANIFEST_HASH_FILE, "a sha256 and a file name", error) from error
