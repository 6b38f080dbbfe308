"""A user's next key on the disk: made, put in force, and the old one kept, whatever moment the power fails at.

I/O: files.  Beside ``users/NAME.key`` lie for a while or for ever:

::

    users/NAME.next       the key that is to follow; it is in force as soon as the bootstrap server has taken it
    users/NAME.former     the key before the one in use
    users/NAME.revoked    a key that was revoked

The order: write NAME.next; ask the server, as often as need be; write the enrolment of the new key; then `promote`. A
start that finds NAME.next and an enrolment of it promotes it; with an enrolment of the old key it asks the server
again, which gives the same answer. A key is never removed before another file holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapter.keystore import KEY_SUFFIX, USERS_DIR, load_private, make_private_dir, replace_private, sync_dir
from overlay.trust.identity import PrivateBundle, parse_aor

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.enrolled import Enrolment

NEXT_SUFFIX: Final = ".next"
FORMER_SUFFIX: Final = ".former"
REVOKED_SUFFIX: Final = ".revoked"


def next_key(state_dir: Path, user: str) -> PrivateBundle:
    """Return the key that is to follow the user's, made now if there is none yet."""
    make_private_dir(state_dir / USERS_DIR)
    return load_private(_at(state_dir, user, NEXT_SUFFIX), generate=PrivateBundle.generate)


def is_pending(state_dir: Path, user: str) -> bool:
    """Tell whether a change of the user's key was begun and is not finished."""
    return _at(state_dir, user, NEXT_SUFFIX).exists()


def promote(state_dir: Path, user: str) -> None:
    """Put NAME.next in the place of NAME.key; the key that was there is kept as NAME.former."""
    key = _at(state_dir, user, KEY_SUFFIX)
    replace_private(_at(state_dir, user, FORMER_SUFFIX), load_private(key))
    _at(state_dir, user, NEXT_SUFFIX).replace(key)
    sync_dir(key.parent)


def finish(state_dir: Path, user: str, enrolment: Enrolment | None) -> bool:
    """Promote the next key if the enrolment is already of it; return whether it was. Called before keys are read."""
    if enrolment is None or not is_pending(state_dir, user):
        return False
    if next_key(state_dir, user).public.thumbprint() != enrolment.pieces[0].thumbprint:
        return False
    promote(state_dir, user)
    return True


def retire(state_dir: Path, user: str) -> None:
    """Put a revoked key out of use; it is kept, for nothing but to be looked at."""
    key = _at(state_dir, user, KEY_SUFFIX)
    key.replace(_at(state_dir, user, REVOKED_SUFFIX))
    sync_dir(key.parent)


def _at(state_dir: Path, user: str, suffix: str) -> Path:
    return state_dir / USERS_DIR / f"{parse_aor(user)}{suffix}"
