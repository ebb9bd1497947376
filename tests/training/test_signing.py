"""A signature shows who made a bundle, and a key is only taken from a file that keeps it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from plugin.errors import BundleRefused, WrongUse
from tests.support.keys import KeyPair, write_keys
from training.signing import CONTEXT, require_signature, sign

PAGE = Path(__file__).parents[2] / "docs" / "carrying.md"
MANIFEST = b'{"files": {}}\n'
PEM = serialization.Encoding.PEM
PLAIN = serialization.NoEncryption()


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    return write_keys(tmp_path, "ours")


def test_a_signature_is_confirmed_by_the_key_that_belongs_to_it(keys: KeyPair) -> None:
    signature = sign(MANIFEST, keys.private)
    assert len(signature) == 64
    require_signature(MANIFEST, signature, keys.public)


def test_a_bundle_without_one_is_refused(keys: KeyPair) -> None:
    with pytest.raises(BundleRefused, match="was none"):
        require_signature(MANIFEST, None, keys.public)


def test_another_key_another_manifest_and_another_purpose_are_refused(
    keys: KeyPair, tmp_path: Path
) -> None:
    foreign = write_keys(tmp_path, "foreign")
    signature = sign(MANIFEST, keys.private)
    key = serialization.load_pem_private_key(keys.private.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    key.public_key().verify(signature, CONTEXT + MANIFEST)
    for manifest, said, public in (
        (MANIFEST, signature, foreign.public),
        (MANIFEST + b" ", signature, keys.public),
        (b"", signature, keys.public),
        (MANIFEST, key.sign(MANIFEST), keys.public),
        (MANIFEST, key.sign(b"shadowgate bundle 2\n" + MANIFEST), keys.public),
    ):
        with pytest.raises(BundleRefused, match="another key"):
            require_signature(manifest, said, public)


def test_every_bit_of_a_signature_counts(keys: KeyPair) -> None:
    signature = sign(MANIFEST, keys.private)
    wrong = [signature[:-1], signature + b"\0", b"", bytes(64), b"\xff" * 64]
    for bit in range(512):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        wrong.append(bytes(flipped))
    for said in wrong:
        with pytest.raises(BundleRefused, match="another key"):
            require_signature(MANIFEST, said, keys.public)


# --- keys


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_key_that_only_its_owner_reads_is_taken(keys: KeyPair, mode: int) -> None:
    keys.private.chmod(mode)
    assert sign(MANIFEST, keys.private)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o777])
def test_a_private_key_that_others_can_reach_is_refused(keys: KeyPair, mode: int) -> None:
    keys.private.chmod(mode)
    with pytest.raises(WrongUse, match=f"no one else may read, was .* with mode {mode:04o}"):
        sign(MANIFEST, keys.private)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_public_key_that_others_can_change_is_refused(keys: KeyPair, mode: int) -> None:
    signature = sign(MANIFEST, keys.private)
    keys.public.chmod(0o644)
    require_signature(MANIFEST, signature, keys.public)
    keys.public.chmod(mode)
    with pytest.raises(WrongUse, match="no one else may write"):
        require_signature(MANIFEST, signature, keys.public)


def not_keys() -> dict[str, bytes]:
    """Files that are no Ed25519 key without a passphrase, whichever of the two is asked for."""
    key, other = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    encrypted = serialization.BestAvailableEncryption(b"secret")
    private = serialization.PrivateFormat.PKCS8
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return {
        "nothing": b"",
        "no PEM": b"\x00\xff" * 50,
        "a torn one": key.private_bytes(PEM, private, PLAIN)[:60],
        "raw bytes": key.private_bytes_raw(),
        "an encrypted one": key.private_bytes(PEM, private, encrypted),
        "a private one of another kind": other.private_bytes(PEM, private, PLAIN),
        "a public one of another kind": other.public_key().public_bytes(PEM, public),
        "one for ssh": key.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, PLAIN)[:80],
    }


@pytest.mark.parametrize(("what", "content"), not_keys().items(), ids=list(not_keys()))
def test_what_is_no_key_is_said_to_be_none(tmp_path: Path, what: str, content: bytes) -> None:
    path = tmp_path / what
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(WrongUse, match="an Ed25519 private key in PEM"):
        sign(MANIFEST, path)
    with pytest.raises(WrongUse, match="an Ed25519 public key in PEM"):
        require_signature(MANIFEST, bytes(64), path)


def test_one_key_does_not_stand_in_for_the_other(keys: KeyPair) -> None:
    keys.public.chmod(0o600)
    with pytest.raises(WrongUse, match="private key in PEM"):
        sign(MANIFEST, keys.public)
    with pytest.raises(WrongUse, match="public key in PEM"):
        require_signature(MANIFEST, bytes(64), keys.private)


def test_a_key_that_is_not_there_or_no_file_is_wrong_use(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "none", tmp_path, tmp_path / "fifo"):
        with pytest.raises(WrongUse, match="a file with a key"):
            sign(MANIFEST, path)
        with pytest.raises(WrongUse, match="a file with a key"):
            require_signature(MANIFEST, bytes(64), path)


def test_without_the_library_it_says_what_to_install(
    keys: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(WrongUse, match=r"pip install 'shadowgate\[signing\]'"):
        sign(MANIFEST, keys.private)
    with pytest.raises(WrongUse, match=r"pip install 'shadowgate\[signing\]'"):
        require_signature(MANIFEST, None, keys.public)


# --- the lines of docs/carrying.md


@pytest.fixture
def documented(tmp_path: Path) -> KeyPair:
    """The pair that the page's lines make."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    [lines] = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    subprocess.run(["sh", "-euc", lines], cwd=tmp_path, check=True, capture_output=True, timeout=30)
    return KeyPair(tmp_path / "bundle-private.pem", tmp_path / "bundle-public.pem")


def test_keys_made_as_the_page_tells_sign_and_confirm(documented: KeyPair) -> None:
    assert documented.private.stat().st_mode & 0o077 == 0
    require_signature(MANIFEST, sign(MANIFEST, documented.private), documented.public)


def test_another_program_confirms_the_signature_as_the_page_words_it(
    documented: KeyPair, tmp_path: Path
) -> None:
    assert "over the line `shadowgate bundle 1`, a line feed, and the bytes" in PAGE.read_text()
    (tmp_path / "signed").write_bytes(b"shadowgate bundle 1\n" + MANIFEST)
    (tmp_path / "signature").write_bytes(sign(MANIFEST, documented.private))
    confirm = "openssl pkeyutl -verify -pubin -inkey bundle-public.pem -rawin -in signed"
    command = [*confirm.split(), "-sigfile", "signature"]
    ended = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, timeout=30)
    assert ended.returncode == 0, ended.stdout + ended.stderr
