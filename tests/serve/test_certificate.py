"""The authority and its certificate, judged by Python's own TLS."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from pocketphi.serve import certificate as module
from pocketphi.serve.certificate import Certificate, certificate_for

NAMES = ("192.168.1.5", "box", "box.local", "localhost", "::1")


def shake_hands(certificate: Certificate, name: str) -> None:
    """A TLS connection in memory, from a client that trusts the authority alone and asks for `name`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.chain, certificate.key)
    client = ssl.create_default_context(cafile=str(certificate.authority))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(6):
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
    assert not ends


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_authority_trusts_every_name(tmp_path: Path, name: str):
    shake_hands(certificate_for(NAMES, tmp_path), name)


def test_another_name_is_not_covered(tmp_path: Path):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(certificate_for(NAMES, tmp_path), "192.168.1.6")


def test_it_is_kept_until_something_changes(tmp_path: Path):
    first = certificate_for(NAMES, tmp_path)
    before = first.chain.read_bytes()
    again = certificate_for(NAMES[:2], tmp_path)
    assert (first.is_new_authority, again.is_new_authority) == (True, False)
    assert again.chain.read_bytes() == before
    moved = certificate_for(("192.168.77.1",), tmp_path)
    assert not moved.is_new_authority, "phones that trust it go on"
    assert moved.chain.read_bytes() != before
    shake_hands(moved, "192.168.77.1")


def test_a_public_name_needs_an_authority_that_may_sign_for_it(tmp_path: Path):
    certificate_for(NAMES, tmp_path)
    public = certificate_for(("chat.example.org",), tmp_path)
    assert public.is_new_authority
    shake_hands(public, "chat.example.org")


def test_the_authority_cannot_be_used_against_other_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    certificate_for(NAMES, tmp_path)
    monkeypatch.setattr(module, "_may_sign", lambda *_: True)  # a thief signs whatever he likes
    stolen = certificate_for(("bank.example",), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        shake_hands(stolen, "bank.example")


def test_it_is_made_anew_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CERTIFICATE_DAYS", module.RENEW_DAYS)
    short = certificate_for(NAMES, tmp_path)
    monkeypatch.undo()
    longer = certificate_for(NAMES, tmp_path)
    assert longer.expires > short.expires
    assert not longer.is_new_authority


@pytest.mark.parametrize("file", ["authority.crt", "authority.key", "server.crt", "server.key"])
def test_a_damaged_file_is_replaced(tmp_path: Path, file: str):
    certificate_for(NAMES, tmp_path)
    (tmp_path / file).write_bytes(b"no certificate")
    shake_hands(certificate_for(NAMES, tmp_path), "box.local")


def test_keys_are_for_nobody_else(tmp_path: Path):
    certificate_for(NAMES, tmp_path / "state")
    for path in (tmp_path / "state").glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_phones_take_it(tmp_path: Path):
    made = certificate_for(NAMES, tmp_path)
    own = x509.load_pem_x509_certificate(made.chain.read_bytes())
    lasts = own.not_valid_after_utc - own.not_valid_before_utc
    assert lasts.days <= 398
    assert own.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert own.extensions.get_extension_for_class(x509.SubjectAlternativeName)
