"""A user's key out of one state directory and into another, sealed on its way.  I/O: files.

Beside ``users/NAME.key`` an import leaves ``users/NAME.line`` where the key has followed others: its generation and the
links that lead to it, for the first registration from here.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Final

from adapter.key_change import is_pending
from adapter.key_export import (
    MAX_EXPORT_BYTES,
    NONCE_BYTES,
    SALT_BYTES,
    ExportedKey,
    check_export,
    open_export,
    seal_export,
)
from adapter.keystore import USERS_DIR, add_own, load_own
from adapter.problems import DamagedFile, Problem
from adapter.registering import Place
from adapter.state import write_private
from overlay.errors import RemoteError, Secp2psipError
from overlay.trust.identity import parse_aor

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.state import StateDir

LINE_SUFFIX: Final = ".line"
VERSION: Final = 1
MAX_LINE_FILE_BYTES: Final = 4096


def export_key(state: StateDir, user: str, file: Path, passphrase: str) -> ExportedKey:
    """Write the user's key to a new file of mode 600 and return what it holds. Raises Problem, DamagedFile."""
    if is_pending(state.path, user):
        hint = "let an adapter start once with the bootstrap server there, or say keys rotate again"
        raise Problem(f"a change of the key of {user} is not finished", hint=hint)
    keys, enrolment = load_own(state.path, user), state.load_enrolment(user)
    place = load_place(state.path, user)
    if enrolment is not None and enrolment.pieces[0].thumbprint == keys.public.thumbprint():
        place = Place(generation=enrolment.generation, succession=enrolment.succession)
    content = ExportedKey(aor=user, keys=keys, generation=place.generation, succession=place.succession)
    data = seal_export(content, passphrase, salt=os.urandom(SALT_BYTES), nonce=os.urandom(NONCE_BYTES))
    require_new(file)
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Problem(f"{file} cannot be written: {(error.strerror or '').lower()}", code="usage") from None
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            file.unlink()
        raise
    return content


def require_new(file: Path) -> None:
    """Raise Problem where something lies at `file`: nothing is ever overwritten."""
    if os.path.lexists(file):
        raise Problem(f"{file} exists already and is not overwritten", hint="choose another name", code="usage")


def read_export(file: Path) -> bytes:
    """Return the content of an exported file that is whole. Raises Problem, DamagedFile."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_EXPORT_BYTES + 1)
    except OSError as error:
        text = f"{file} cannot be read: {(error.strerror or '').lower()}"
        raise Problem(text, hint="is it the right file, and may you read it?", code="usage") from None
    try:
        check_export(data)
    except RemoteError as error:
        raise DamagedFile(f"{file} cannot be used: {error}", hint="is there another copy of it?") from None
    return data


def import_key(state: StateDir, data: bytes, passphrase: str, *, user: str = "") -> tuple[ExportedKey, bool]:
    """Put an exported key in place; return what the file held, and whether the key is new here.

    `user`, if given, is whose key it has to be. The state directory is taken meanwhile. Raises StateLocked,
    WrongPassphrase, and Problem where another key lies there: a key is never overwritten.
    """
    try:
        content = open_export(data, passphrase)
    except RemoteError as error:
        raise DamagedFile(f"the file cannot be used: {error}", hint="is there another copy of it?") from None
    if user and user != content.aor:
        raise Problem(f"the file holds the key of {content.aor}, not of {user}", hint="nothing was written")
    with state:
        is_new = add_own(state.path, content.aor, content.keys)
        if content.generation > load_place(state.path, content.aor).generation:
            row = {"v": VERSION, "generation": content.generation, "succession": content.succession.hex()}
            write_private(_line_file(state.path, content.aor), json.dumps(row) + "\n")
    return content, is_new


def load_place(state_dir: Path, user: str) -> Place:
    """Return where an imported key stands in the line of its name's keys. Raises DamagedFile."""
    path = _line_file(state_dir, user)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_LINE_FILE_BYTES)
    except FileNotFoundError:
        return Place()
    try:
        row = json.loads(data)
        keys, succession = load_own(state_dir, user), bytes.fromhex(row["succession"])
        content = ExportedKey(aor=parse_aor(user), keys=keys, generation=row["generation"], succession=succession)
    except (KeyError, TypeError, ValueError, RecursionError, Secp2psipError):
        hint = f"move it away (mv {path} {path}.bad): who knew an earlier key then meets this one anew"
        raise DamagedFile(f"{path} is damaged", hint=hint) from None
    return Place(generation=content.generation, succession=content.succession)


def _line_file(state_dir: Path, user: str) -> Path:
    return state_dir / USERS_DIR / f"{parse_aor(user)}{LINE_SUFFIX}"
