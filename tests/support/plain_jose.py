"""JWS and JWE written a second time, from the RFCs and the bare primitives, with the randomness as an argument.

The vectors come from here, and the tests hold the project's own envelope against them. Sources: RFC 7515 §5.1,
RFC 7516 §5.1, RFC 7518 §4.6 and §5.3, RFC 8037 §3.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jws(header: bytes, payload: bytes, seed: bytes) -> str:
    """Sign with the Ed25519 key of that 32-byte seed."""
    signing_input = f"{b64(header)}.{b64(payload)}"
    return f"{signing_input}.{b64(Ed25519PrivateKey.from_private_bytes(seed).sign(signing_input.encode()))}"


def jwe(plaintext: bytes, recipient: bytes, *, ephemeral: bytes, iv: bytes, header: bytes | None = None) -> str:
    """Encrypt to a 32-byte X25519 key with a given ephemeral private key and 12-byte IV."""
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    if header is None:
        x = b64(private.public_key().public_bytes_raw())
        epk = f'{{"crv":"X25519","x":"{x}","kty":"OKP"}}'
        header = f'{{"alg":"ECDH-ES","enc":"A256GCM","epk":{epk}}}'.encode()
    shared = private.exchange(X25519PublicKey.from_public_bytes(recipient))
    # Concat KDF, one round: counter, Z, AlgorithmID, empty PartyUInfo and PartyVInfo, 256 bits
    algorithm = b"A256GCM"
    info = len(algorithm).to_bytes(4, "big") + algorithm + bytes(4) + bytes(4) + (256).to_bytes(4, "big")
    key = hashlib.sha256((1).to_bytes(4, "big") + shared + info).digest()
    protected = b64(header)
    sealed = AESGCM(key).encrypt(iv, plaintext, protected.encode())
    return f"{protected}..{b64(iv)}.{b64(sealed[:-16])}.{b64(sealed[-16:])}"
