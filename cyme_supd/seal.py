"""What dispatchers and runners say to one another, readable and writable by them alone.

A broker carries it, and whoever may read and write there learns nothing of a
job and can have nothing run: each message is encrypted and authenticated with
a key that never goes through a broker.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from cyme_supd.domain.orders import Message, from_wire, to_wire
from cyme_supd.domain.values import load_json
from cyme_supd.errors import Forbidden, Invalid, NotFound

KEY_BYTES = 32


class Unsealed(Forbidden):
    """Nobody who has the key has said that."""


class Seal:
    """Of one key; for any number of threads."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Invalid(f"a key of runners is {KEY_BYTES} bytes")
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, message: Message) -> str:
        text = json.dumps(to_wire(message), separators=(",", ":"))
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, token: object, kinds: tuple[type[Any], ...]) -> Any:
        """The message, which must be one of *kinds*; :exc:`Unsealed` where it is not ours."""
        try:
            text = self._fernet.decrypt(str(token).encode("ascii"))
        except (InvalidToken, UnicodeEncodeError):
            raise Unsealed("it is sealed with no key of ours") from None
        message = from_wire(load_json(text))
        if not isinstance(message, kinds):
            raise Unsealed(f"a {type(message).__name__.lower()} has no place here")
        return message


def read_key(path: str | Path) -> bytes:
    """The key in the file *path*, which nobody else may read."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1024)
    except OSError as exc:
        raise NotFound(
            f"no key of runners can be read: {path}: {exc.strerror}",
            "copy runner.key from the root of a branch",
        ) from None
    if mode & 0o077:
        raise Forbidden(f"others can read {path}", f"chmod 600 {path}")
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Invalid(
            f"{path} holds no key of runners", f"it is {2 * KEY_BYTES} hexadecimal digits"
        )
    return key


def write_key(path: str | Path, key: bytes) -> None:
    """Have *key* in *path*, whatever was there; nobody reads half of it."""
    temporary = _written(path, key)
    os.replace(temporary, path)


def make_key(path: str | Path) -> bytes:
    """The key in *path*, which is made where it is not there; several may at once."""
    temporary = _written(path, os.urandom(KEY_BYTES))
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
    return read_key(path)


def _written(path: str | Path, key: bytes) -> str:
    """The name of a file beside *path* that has it."""
    temporary = f"{path}.{os.urandom(8).hex()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(key.hex() + "\n")
    return temporary
