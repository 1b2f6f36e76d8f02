"""Decide which TLS failures are transient."""

from __future__ import annotations

import re
import ssl
from typing import Final

from ghl_voice_async.errors import TransportError

__all__ = ["tls_error"]

# The names are those of OpenSSL. A failure that is not named here is transient: a peer that restarts, a damaged record.
_NO_TLS_SPOKEN: Final = {
    "HTTPS_PROXY_REQUEST",
    "HTTP_REQUEST",
    "RECORD_LAYER_FAILURE",  # what OpenSSL 3.2 and later say of plain HTTP
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
_CERTIFICATE_REFUSED: Final = {
    "CERTIFICATE_VERIFY_FAILED",
    "CA_KEY_TOO_SMALL",
    "CA_MD_TOO_WEAK",
    "EE_KEY_TOO_SMALL",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_NO_CERTIFICATE",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY",
    "TLSV1_BAD_CERTIFICATE_HASH_VALUE",
    "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE",
    "TLSV1_CERTIFICATE_UNOBTAINABLE",
    "TLSV1_UNRECOGNIZED_NAME",
}
_NOTHING_IN_COMMON: Final = {
    "DH_KEY_TOO_SMALL",
    "INAPPROPRIATE_FALLBACK",
    "NO_CIPHERS_AVAILABLE",
    "NO_PROTOCOLS_AVAILABLE",
    "NO_SHARED_CIPHER",
    "NO_SUITABLE_GROUPS",
    "NO_SUITABLE_KEY_SHARE",
    "NO_SUITABLE_SIGNATURE_ALGORITHM",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV13_ALERT_MISSING_EXTENSION",
    "TLSV1_ALERT_EXPORT_RESTRICTION",
    "TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "TLSV1_UNSUPPORTED_EXTENSION",
    "UNKNOWN_CIPHER_RETURNED",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    "UNSUPPORTED_PROTOCOL",
    "UNSUPPORTED_SSL_VERSION",
    "VERSION_TOO_HIGH",
    "VERSION_TOO_LOW",
    "WRONG_CIPHER_RETURNED",
    "WRONG_CURVE",
    "WRONG_SIGNATURE_TYPE",
    "WRONG_SSL_VERSION",
}
_ALWAYS_LASTING: Final = _CERTIFICATE_REFUSED | _NOTHING_IN_COMMON
_TEXT = re.compile(r"\[[A-Z0-9_: ]*\] (?P<reason>.*?)(?: \(_ssl\.c:\d+\))?")


def tls_error(error: ssl.SSLError, *, in_handshake: bool) -> TransportError:
    """Make the error of a TLS failure.

    A refused certificate, a peer without TLS, and peers with nothing in common are not retryable. After a handshake,
    a record that is not TLS is a damaged one. The text is that of OpenSSL, and has no words of the server.
    """
    reason = _reason(error)
    is_lasting = isinstance(error, ssl.SSLCertVerificationError) or reason in _ALWAYS_LASTING
    if in_handshake:
        is_lasting = is_lasting or reason in _NO_TLS_SPOKEN
    return TransportError(f"TLS failed: {error.strerror or type(error).__name__}", retryable=not is_lasting)


def _reason(error: ssl.SSLError) -> str:
    """Return the name that OpenSSL has for the failure. Python has no name for those that are newer than it."""
    reason: str | None = getattr(error, "reason", None)
    if reason:
        return reason
    match = _TEXT.fullmatch(error.strerror or "")
    return "" if match is None else match["reason"].upper().replace(" ", "_")
