"""Who made this bundle?

An Ed25519 signature over the bytes of its manifest, which names every other file with its sha256. A few
words of ours go before these bytes, so that a signature made with the same key for another purpose
never passes for one of a bundle. The library is an extra, and imported only when a key is named.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from plugin.errors import BundleRefused, WrongUse

CONTEXT = b"shadowgate bundle 1\n"
_MOST_KEY_BYTES = 16_384


def sign(manifest: bytes, private_key: Path) -> bytes:
    """The 64 bytes of the signature. Raises WrongUse for a key that is none, or no secret."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise _no_library(error) from error
    text = _read_key(private_key, stat.S_IRWXG | stat.S_IRWXO, "no one else may read")
    try:
        key = load_pem_private_key(text, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key("private", private_key) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key("private", private_key)
    return key.sign(CONTEXT + manifest)


def require_signature(manifest: bytes, signature: bytes | None, public_key: Path) -> None:
    """Confirm that the signature was made over this manifest, with the key that belongs to this one.

    Raises BundleRefused for any other signature and for None, WrongUse for a key that is none or that
    others than its owner can change.
    """
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise _no_library(error) from error
    text = _read_key(public_key, stat.S_IWGRP | stat.S_IWOTH, "no one else may write")
    try:
        key = load_pem_public_key(text)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key("public", public_key) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key("public", public_key)
    if signature is None:
        raise BundleRefused("signature", f"one that {public_key} confirms", "none")
    try:
        key.verify(signature, CONTEXT + manifest)
    except InvalidSignature as error:
        was = "made with another key, or over another manifest"
        raise BundleRefused("signature", f"one that {public_key} confirms", was) from error


def _read_key(path: Path, forbidden: int, rule: str) -> bytes:
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise WrongUse("a file with a key", f"{path}, no regular file", "docs/carrying.md")
            if mode & forbidden:
                was = f"{path} with mode {stat.S_IMODE(mode):04o}"
                raise WrongUse(f"a key that {rule}", was, "make a new one, or chmod it, if in time")
            return file.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise WrongUse("a file with a key", f"{path}: {error.strerror}", "correct the path") from error


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO would be waited for, perhaps for ever


def _no_key(kind: str, path: Path) -> WrongUse:
    remedy = "make one as docs/carrying.md tells, without a passphrase"
    return WrongUse(f"an Ed25519 {kind} key in PEM", f"{path}, which is none", remedy)


def _no_library(error: ImportError) -> WrongUse:
    remedy = "pip install 'shadowgate[signing]'"
    return WrongUse("the library cryptography, for signatures", str(error), remedy)
