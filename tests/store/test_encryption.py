"""Secrets at rest."""

import base64
import re
import stat

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gatewright.store import open_store
from gatewright.store.encryption import KeyFile, KeyRing, load_key_ring
from gatewright.store.errors import KeyFileError

ONE, TWO = bytes(range(32)), bytes(reversed(range(32)))


@pytest.mark.conforms("OP-068")
def test_the_envelope_names_provider_and_key():
    ring = KeyRing([("v1", ONE)])
    envelope = ring.encrypt(b"secret")
    assert re.fullmatch(r"enc:aesgcm:v1:v1:[A-Za-z0-9+/]+=*", envelope)
    assert len(base64.b64decode(envelope.split(":")[4])) == 12 + 6 + 16
    assert ring.decrypt(envelope) == b"secret"
    assert ring.encrypt(b"secret") != envelope


def test_a_value_of_the_original_is_readable():
    """Nonce 000102…0b, key 0001…1f, `hello`: computed with another implementation of AES-256-GCM."""
    nonce = bytes(range(12))
    cipher = Cipher(algorithms.AES(ONE), modes.GCM(nonce)).encryptor()
    sealed = nonce + cipher.update(b"hello") + cipher.finalize() + cipher.tag
    envelope = f"enc:aesgcm:v1:aesgcm256-v1:{base64.b64encode(sealed).decode()}"
    assert KeyRing([("aesgcm256-v1", ONE)]).decrypt(envelope) == b"hello"


@pytest.mark.conforms("OP-069")
def test_rotation_encrypts_with_the_first_and_reads_with_all():
    old = KeyRing([("v1", ONE)]).encrypt(b"x")
    ring = KeyRing([("v2", TWO), ("v1", ONE)])
    assert ring.decrypt(old) == b"x"
    assert not ring.current(old)
    assert ring.current(ring.encrypt(b"x"))
    with pytest.raises(KeyFileError, match="key not found for version v1"):
        KeyRing([("v2", TWO)]).decrypt(old)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e[:-4] + ("AAAA" if not e.endswith("AAAA") else "BBBB"),
        lambda e: e.replace("enc:", "dec:"),
        lambda e: e + ":more",
        lambda e: "enc:aesgcm:v1:v1:",
        lambda e: "enc:aesgcm:v1:v1:!!!",
        lambda e: "",
    ],
)
def test_a_changed_envelope_is_refused(change):
    ring = KeyRing([("v1", ONE)])
    with pytest.raises(KeyFileError):
        ring.decrypt(change(ring.encrypt(b"secret")))


@pytest.mark.conforms("OP-067")
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([], "no encryption key"),
        ([("v1", ONE[1:])], "invalid key size: expected 32 bytes, got 31 bytes"),
        ([("v1", ONE), ("v1", TWO)], "duplicate key version: v1"),
        ([("a:b", ONE)], "bad key version"),
    ],
)
def test_bad_keys(keys, words):
    with pytest.raises(KeyFileError, match=words):
        KeyRing(keys)


def test_a_missing_key_is_made_once_for_its_owner_only(tmp_path):
    file = KeyFile("v1", tmp_path / "keys" / "v1.bin")
    ring = load_key_ring([file], create_missing=True)
    assert len(file.path.read_bytes()) == 32
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [entry.name for entry in file.path.parent.iterdir()] == ["v1.bin"]
    assert load_key_ring([file], create_missing=True).decrypt(ring.encrypt(b"x")) == b"x"


@pytest.mark.conforms("OP-066")
def test_a_missing_key_is_named_where_none_may_be_made(tmp_path):
    file = KeyFile("v1", tmp_path / "v1.bin")
    with pytest.raises(KeyFileError, match=r"v1 cannot be read from .*v1\.bin") as refused:
        load_key_ring([file], create_missing=False)
    assert "openssl rand 32" in refused.value.advice
    # Only the first key encrypts; an old one that is missing must not be replaced by another.
    with pytest.raises(KeyFileError):
        load_key_ring([KeyFile("v2", tmp_path / "v2.bin"), file], create_missing=True)


def test_keys_do_not_show():
    assert repr(KeyRing([("v1", ONE)])) == "KeyRing(v1)"


async def test_secrets_in_the_store_are_sealed(path):
    store = await open_store(path, keys=KeyRing([("v1", ONE)]))
    await store.set_secret("token", "a very secret registration token")
    assert await store.get_secret("token") == "a very secret registration token"
    assert await store.get_meta("token") is None
    assert await store.get_secret("other") is None
    await store.close()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"enc:aesgcm:v1:v1:" in content
    assert b"a very secret" not in content
    other = await open_store(path, keys=KeyRing([("v1", TWO)]))
    with pytest.raises(KeyFileError, match="decryption failed"):
        await other.get_secret("token")
    await other.set_secret("token", None)
    assert await other.get_secret("token") is None
    await other.close()
