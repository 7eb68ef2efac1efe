"""What a stack says about the edge's name and certificate: a secret, a file, or a CA to order it from."""

import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from components.settings.values import (
    Authority,
    Certificate,
    Domain,
    Email,
    Fault,
    Model,
    certified_names,
    check_certificate,
    expiry,
    matching,
    refused,
)

WARNING = datetime.timedelta(days=21)
"""How long before a certificate expires every `up` says so."""


class Acme(Model):
    """A CA that the edge orders its certificate from, by ACME."""

    directory: Annotated[str, matching(r"https://[\w.-]+(:[0-9]+)?(/[\w./~-]*)?", "is not an https:// address")]
    """The address of the CA's directory."""
    email: Email | None = None
    """Whom the CA may write to."""
    ca: Authority = ""
    """PEM of the CA that signed the directory's own certificate, if it is private."""


class CertificateSettings(Model):
    """The part of the settings that is about the edge's name and certificate."""

    domain: Domain = "localhost"
    tls_ca: Authority = ""
    tls_certificate_file: str = ""
    acme: Acme | None = None
    tls_certificate: Annotated[Certificate | None, Field(validate_default=True)] = None

    @property
    def certificate(self) -> SecretStr:
        """The certificate chain and its private key, PEM; empty: the edge orders them."""
        if self.tls_certificate_file:
            return SecretStr(_read(self.tls_certificate_file))
        return self.tls_certificate or SecretStr("")

    @property
    def expiring(self) -> str:
        """A warning, if the certificate expires soon and nobody but people can renew it."""
        if self.acme:
            return ""
        expires = expiry(self.certificate.get_secret_value())
        if expires - datetime.datetime.now(datetime.UTC) > WARNING:
            return ""
        return f"the edge's certificate expires on {expires:%Y-%m-%d}: give it a new one, and run `up` again"

    @field_validator("tls_certificate_file")
    @classmethod
    def _file_holds_a_certificate(cls, path: str, info: ValidationInfo) -> str:
        if path:
            try:
                check_certificate(_read(path))
                _certifies(_read(path), info)
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"names {path}, which cannot be read ({type(error).__name__})") from None
            except ValueError as error:
                raise ValueError(f"names {path}, which {error}") from None
        return path

    @field_validator("acme")
    @classmethod
    def _orders_for_a_name(cls, acme: Acme | None, info: ValidationInfo) -> Acme | None:
        if acme and info.data.get("tls_certificate_file"):
            raise refused(Fault("", "is set, and so is tlsCertificateFile: keep one of the two", remove=True))
        if acme and info.data.get("domain") == "localhost":
            raise refused(Fault("", "is set for localhost, which no CA certifies: set domain", remove=True))
        return acme

    @field_validator("tls_certificate")
    @classmethod
    def _exactly_one(cls, certificate: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # What was refused is not in `data`: it is given all the same.
        other = "tlsCertificateFile" if info.data.get("tls_certificate_file", "refused") else None
        other = "acme" if info.data.get("acme", "refused") else other
        if certificate and other:
            raise refused(Fault("", f"is set, and so is {other}: keep one of the two", remove=True))
        if not certificate and not other:
            raise ValueError("is not set, nor is tlsCertificateFile or acme: the edge has no certificate")
        if certificate:
            _certifies(certificate.get_secret_value(), info)
        return certificate


def _read(path: str) -> str:
    return Path(path).expanduser().read_text()


def _certifies(certificate: str, info: ValidationInfo) -> None:
    """Refuse a certificate for another name than the domain."""
    names, domain = certified_names(certificate), info.data.get("domain", "")
    if domain and not {domain, f"*.{domain.partition('.')[2]}"} & set(names):
        raise ValueError(f"is for {', '.join(names) or 'no name'}, not for {domain}: the edge would refuse everybody")
