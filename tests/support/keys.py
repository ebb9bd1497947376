"""Pairs of Ed25519 keys in files, as `openssl genpkey` writes them."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class KeyPair:
    """Where the two keys lie."""

    private: Path
    public: Path


def write_keys(folder: Path, name: str) -> KeyPair:
    """A new pair below `folder`."""
    pair = KeyPair(folder / f"{name}-private.pem", folder / f"{name}-public.pem")
    key, pem = Ed25519PrivateKey.generate(), serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    pair.private.touch(0o600)
    pair.private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    pair.public.write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    pair.public.chmod(0o644)
    return pair
