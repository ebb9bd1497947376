"""Which bundles are there, which of them serves, which is tried beside it, and who decided that?

models/bundles/<id>/          one folder a bundle, never changed after it is written
models/champion               a pointer: the id of the bundle that serves, and its manifest's hash
models/challenger             a pointer of the same form: the bundle that predicts beside it
models/verdicts/<id>.json     a gate report made later than the bundle, from shadow evidence
models/history.jsonl          one line per move of a pointer

Two pointers can not move at once. A promotion that is cut off between them leaves the bundle in both;
it has left the challenger's seat then, and `settle` gives that to whom it belongs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from plugin.bundle import verify_bundle
from plugin.durable import locked, replace_file
from plugin.errors import NOT_JSON, BundleRefused, ShadowgateError, WrongUse
from plugin.history import MoveKind, Pointer, Role, append_move, line_of_champions, read_history
from plugin.manifest import MANIFEST_FILE, MANIFEST_HASH_FILE, GateReport, Manifest

__all__ = ["MoveKind", "Pointer", "Registry", "Role"]


class Registry:
    """The folder that `ML_MODELS_DIR` names. Who moves a pointer holds `durable.locked(folder)`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundles = folder / "bundles"
        self._history = folder / "history.jsonl"

    def champion(self) -> Pointer | None:
        """The pointer to the bundle that serves; None where none was ever appointed.

        Raises BundleRefused where the pointer can not be read: a damaged one is not "none".
        """
        return self._pointer("champion")

    def challenger(self) -> Pointer | None:
        """The pointer to the bundle that is tried beside the champion; None where there is none.

        One that names the champion itself is left over from a promotion that was cut off, and counts
        as none. Raises as `champion`.
        """
        champion, challenger = self._pointer("champion"), self._pointer("challenger")
        if challenger is None or challenger.bundle_id is None:
            return None
        return None if champion and champion.bundle_id == challenger.bundle_id else challenger

    def appoint(
        self,
        bundle_id: str,
        *,
        at: str,
        who: str,
        why: str,
        role: Role = "champion",
        kind: MoveKind = "appointed",
    ) -> Pointer:
        """Give a bundle a role and say so in the history.

        Raises WrongUse where there is no such bundle, BundleRefused where its hash can not be read.
        """
        return self._move(
            Pointer(
                role=role,
                kind=kind,
                bundle_id=bundle_id,
                manifest_sha256=self._manifest_hash(bundle_id),
                report_sha256=self._report_hash(bundle_id),
                replaced=self._replaced(role),
                at=at,
                who=who,
                why=why,
            )
        )

    def dismiss(self, *, at: str, who: str, why: str) -> Pointer | None:
        """Nobody is challenger any more; None where nobody was."""
        before = self._pointer("challenger")
        if before is None or before.bundle_id is None:
            return None
        return self._move(
            Pointer(
                role="challenger",
                kind="dismissed",
                bundle_id=None,
                manifest_sha256=None,
                report_sha256=None,
                replaced=before.bundle_id,
                at=at,
                who=who,
                why=why,
            )
        )

    def history(self) -> list[Pointer]:
        """All moves of both pointers, oldest first. Raises BundleRefused where a line is damaged."""
        return read_history(self._history)

    def promote(self, *, at: str, who: str, why: str) -> Pointer:
        """Make the challenger champion; the champion before goes on predicting, as challenger.

        Raises WrongUse where there is no challenger, BundleRefused where it is not what was tried.
        """
        challenger = self.challenger()
        if challenger is None or challenger.bundle_id is None:
            raise WrongUse("a challenger to promote", "none", "train one, or install one")
        self.bundle_folder(challenger)
        moved = self.appoint(challenger.bundle_id, at=at, who=who, why=why, kind="promoted")
        self.settle(at=at, who=who)
        return moved

    def champion_before(self) -> str:
        """The bundle that a rollback goes back to, every byte verified.

        Raises WrongUse where there is none, BundleRefused where it, or the history, is damaged.
        """
        champion = self.champion()
        line = line_of_champions(self.history(), champion) if champion else []
        if len(line) < 2:
            raise WrongUse("a champion before this one", "none", "train a new bundle, or install one")
        bundle_id = str(line[-2].bundle_id)
        try:
            verify_bundle(self.bundle_folder(line[-2]))
        except ShadowgateError as error:
            raise BundleRefused(bundle_id, "an intact bundle to go back to", error) from error
        return bundle_id

    def roll_back(self, *, at: str, who: str, why: str) -> Pointer:
        """Go back to the champion before, and from that one to the one before it; no challenger stays.

        Raises as `champion_before`.
        """
        moved = self.appoint(self.champion_before(), at=at, who=who, why=why, kind="rolled back")
        self.dismiss(at=at, who=who, why=f"the champion was rolled back: {why}")
        return moved

    def is_settled(self) -> bool:
        """False where a move of both pointers was cut off after the first. Raises as `champion`."""
        champion, challenger = self.champion(), self._pointer("challenger")
        return champion is None or challenger is None or challenger.bundle_id != champion.bundle_id

    def settle(self, *, at: str, who: str) -> Pointer | None:
        """Take the second step of a promotion or a rollback; None where none is left to take."""
        champion = self.champion()
        if champion is None or self.is_settled():
            return None
        if champion.kind == "promoted" and champion.replaced is not None:
            why = "served until the promotion: predicts on, to be gone back to"
            try:
                return self.appoint(champion.replaced, at=at, who=who, why=why, role="challenger")
            except ShadowgateError:  # it was removed: nobody is left to go back to
                pass
        return self.dismiss(at=at, who=who, why="serves now")

    def bundle_folder(self, pointer: Pointer) -> Path:
        """The folder that a pointer names.

        Raises WrongUse where there is none, BundleRefused where its manifest is another one.
        """
        bundle_id = pointer.bundle_id or ""
        if self._manifest_hash(bundle_id) != pointer.manifest_sha256:
            expected = f"{(pointer.manifest_sha256 or '')[:12]}…"
            raise BundleRefused(MANIFEST_HASH_FILE, expected, "another hash")
        return self.bundles / bundle_id

    def verdict(self, manifest: Manifest) -> GateReport | None:
        """The newest gate report on a bundle; None where no gate ever looked at it.

        Raises BundleRefused where a later report can not be read.
        """
        path = self.verdict_file(manifest.bundle_id)
        try:
            return msgspec.json.decode(path.read_bytes(), type=GateReport)
        except FileNotFoundError:
            return manifest.gate_report
        except (OSError, *NOT_JSON) as error:
            raise BundleRefused(str(path), "a gate report", error) from error

    def store_verdict(self, bundle_id: str, report: GateReport) -> Path:
        """Keep a report made later than the bundle, in the place of an earlier one; where it lies."""
        place = self.verdict_file(bundle_id)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        with locked(place.parent):
            replace_file(place, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
        return place

    def verdict_file(self, bundle_id: str) -> Path:
        """Where a report made after the bundle lies."""
        return self.folder / "verdicts" / f"{bundle_id}.json"

    def _pointer(self, role: Role) -> Pointer | None:
        path = self.folder / role
        try:
            return msgspec.json.decode(path.read_bytes(), type=Pointer)
        except FileNotFoundError:
            return None
        except (OSError, *NOT_JSON) as error:
            raise BundleRefused(str(path), "a pointer to a bundle", error) from error

    def _replaced(self, role: Role) -> str | None:
        try:
            pointer = self._pointer(role)
        except BundleRefused:  # a new appointment is what mends a damaged pointer
            return None
        return pointer.bundle_id if pointer else None

    def _move(self, pointer: Pointer) -> Pointer:
        line = msgspec.json.encode(pointer)
        # History first: a move that is not told is worse than one that is told and did not happen.
        append_move(self._history, line)
        replace_file(self.folder / pointer.role, line + b"\n")
        return pointer

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

    def _report_hash(self, bundle_id: str) -> str | None:
        """Of the later report's file, or of the report within the manifest as compact JSON."""
        try:
            return hashlib.sha256(self.verdict_file(bundle_id).read_bytes()).hexdigest()
        except OSError:
            pass
        try:
            text = (self.bundles / bundle_id / MANIFEST_FILE).read_bytes()
            report = msgspec.json.decode(text, type=Manifest).gate_report
        except (OSError, *NOT_JSON):  # whoever loads the bundle will refuse it
            return None
        if report is None:
            return None
        return hashlib.sha256(msgspec.json.encode(report, order="deterministic")).hexdigest()
