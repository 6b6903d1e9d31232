"""Certificates for BMCs that tests play: trusted, expired, self-signed, for another name."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """A CA of its own in `folder`; `file` is its certificate."""

    folder: Path

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._build("muster test CA", self._key, signer=None, ca=True)
        self.file = self.folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(
        self, *, self_signed: bool = False, expired: bool = False, address: str = "127.0.0.1"
    ) -> tuple[ssl.SSLContext, str]:
        """A server's TLS context, and the SHA-256 of its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        signer = None if self_signed else self._key
        days = -1 if expired else 30
        certificate = self._build("bmc", key, signer=signer, address=address, days=days)
        file = self.folder / f"{certificate.serial_number}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context, certificate.fingerprint(hashes.SHA256()).hex()

    def _build(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        signer: ec.EllipticCurvePrivateKey | None,
        ca: bool = False,
        address: str = "127.0.0.1",
        days: int = 30,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        issuer = name if signer is None else "muster test CA"
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
            )
            .sign(signer or key, hashes.SHA256())
        )
