"""HTTPS for a server in a home network: an authority of this machine's own, and a certificate for its addresses.

A phone installs a page, and keeps its service worker, only over HTTPS, and no public authority signs for
`192.168.1.5`. So this machine makes an authority, once, and signs its own certificate with it. Whoever installs the
authority's certificate (`/ca.crt`) on a phone gets no warnings; everybody else may pass the browser's warning once.

An installed authority is a risk: its key could sign for any name. This one says itself that it may sign for private
addresses, `.local` and this machine's names only (name constraints, RFC 5280, section 4.2.1.10), so nobody can use it
against a bank. Its key never leaves a file that nobody else may read.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pocketphi.serve.keys import write_secret

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397
"""Apple's systems take no longer ones."""
RENEW_DAYS = 30
"""A certificate that has fewer left is made anew at the next start."""
_PRIVATE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
)
_ALWAYS_NAMED = ("local", "localhost")
_NOT_YET = datetime.timedelta(hours=1)
"""Clocks of phones differ."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Files that a TLS server reads."""

    chain: Path
    key: Path
    authority: Path
    """To install on a phone."""
    authority_digest: str
    """SHA-256, as phones and browsers show it."""
    is_new_authority: bool
    expires: datetime.datetime


def certificate_for(names: Sequence[str], folder: Path) -> Certificate:
    """A certificate for `names` (addresses and host names), made or still good.

    Raises:
        UserError: the files cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC)
    authority_file, chain_file = folder / "authority.crt", folder / "server.crt"
    authority = _load(authority_file, folder / "authority.key")
    is_new = authority is None or not _may_sign(authority[0], names) or not _lasts(authority[0], now)
    if is_new or authority is None:
        authority = _make_authority(names, now)
        write_secret(folder / "authority.key", _private_bytes(authority[1]))
        write_secret(authority_file, authority[0].public_bytes(serialization.Encoding.PEM))
    own = _load(chain_file, folder / "server.key")
    if is_new or own is None or not _is_good(own[0], authority[0], names, now):
        own = _sign(authority, names, now)
        write_secret(folder / "server.key", _private_bytes(own[1]))
        write_secret(chain_file, own[0].public_bytes(serialization.Encoding.PEM))
    digest = authority[0].fingerprint(hashes.SHA256()).hex(":").upper()
    return Certificate(
        chain=chain_file,
        key=folder / "server.key",
        authority=authority_file,
        authority_digest=digest,
        is_new_authority=is_new,
        expires=own[0].not_valid_after_utc,
    )


Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _make_authority(names: Sequence[str], now: datetime.datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own each time: a phone that has an older one installed must not take it for this one.
    digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "pocketphi on this network"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"pocketphi authority {digest.digest.hex()[:8]}"),
        ]
    )
    builder = (
        _builder(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(_permitted(names), None), critical=True)
        .add_extension(digest, critical=False)
    )
    return builder.sign(key, hashes.SHA256()), key


def _sign(authority: Pair, names: Sequence[str], now: datetime.datetime) -> Pair:
    issuer, issuer_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pocketphi")])
    issuer_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(subject, issuer.subject, key, now, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _NOT_YET)
        .not_valid_after(now - _NOT_YET + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _permitted(names: Sequence[str]) -> list[x509.GeneralName]:
    """Private networks, `.local`, and those of `names` that are neither."""
    permitted: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_network(each)) for each in _PRIVATE_NETWORKS]
    permitted += [x509.DNSName(name) for name in _ALWAYS_NAMED]
    for name in names:
        if not _is_permitted(name, permitted):
            address = _address(name)
            permitted.append(x509.DNSName(name) if address is None else x509.IPAddress(ipaddress.ip_network(address)))
    return permitted


def _is_permitted(name: str, permitted: Sequence[x509.GeneralName]) -> bool:
    address = _address(name)
    for each in permitted:
        if (
            isinstance(each, x509.DNSName)
            and address is None
            and (name == each.value or name.endswith(f".{each.value}"))
        ):
            return True
        if isinstance(each, x509.IPAddress) and address is not None and address in each.value:  # type: ignore[operator]
            return True
    return False


def _may_sign(authority: x509.Certificate, names: Sequence[str]) -> bool:
    permitted = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    return all(_is_permitted(name, permitted) for name in names)


def _is_good(own: x509.Certificate, authority: x509.Certificate, names: Sequence[str], now: datetime.datetime) -> bool:
    """Whether a certificate is the authority's, lasts, and names all of `names`."""
    try:
        own.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    named = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return _lasts(own, now) and {_general(name) for name in names} <= set(named)


def _lasts(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    left = certificate.not_valid_after_utc - now
    return certificate.not_valid_before_utc <= now and left > datetime.timedelta(days=RENEW_DAYS)


def _load(certificate: Path, key: Path) -> Pair | None:
    """A certificate with its key; None if either is absent, damaged, or the other's."""
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != loaded.public_key():
        return None
    return loaded, private


def _private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
