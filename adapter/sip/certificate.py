"""The adapter's own TLS certificate: made once, kept in the state directory, signed by itself.  I/O: files.

No authority vouches for an address on somebody's LAN, so a phone either takes this certificate as it is or is given the
fingerprint that `secp2psip status` shows. P-256, because phones do not know Ed25519 in TLS.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapter.problems import Problem

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE_FILE: Final = "sip-tls.pem"
"""Private key and certificate in one file, mode 0600."""
LIFETIME: Final = timedelta(days=3650)
SKEW: Final = timedelta(days=1)
"""Clocks of phones are wrong; the certificate is valid a little earlier than it was made."""
COMMON_NAME: Final = "secp2psip adapter"


def load_or_create(state_dir: Path, host: str) -> tuple[ssl.SSLContext, str]:
    """Return the TLS context of this adapter and the fingerprint of its certificate.

    The fingerprint is SHA-256 in hexadecimal pairs with colons, as phones show it. A new certificate names `host`, the
    IP literal that phones know. Raises Problem when the file can be read by others or is damaged.
    """
    path = state_dir / CERTIFICATE_FILE
    if not path.exists():
        _write_once(path, make_certificate(host, now=datetime.now(tz=UTC)))
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Problem(f"the private key {path} can be read by others", hint=f"chmod 600 {path}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(path)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (ssl.SSLError, ValueError):
        hint = f"remove it, and a new one is made: {path}"
        raise Problem(f"{path.name} holds no certificate of secp2psip", hint=hint) from None
    return context, certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def make_certificate(host: str, *, now: datetime) -> bytes:
    """Return a new private key and its certificate for `host`, an IP literal, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    names = [x509.IPAddress(ip_address(host.partition("%")[0])), x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _write_once(path: Path, data: bytes) -> None:
    """Write `path` whole and only if nothing is there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
