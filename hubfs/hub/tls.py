"""One way to make TLS contexts, so that metadata and contents trust the same certificates."""

from __future__ import annotations

import ssl

import httpx

from hubfs.errors import UsageError


def tls_context() -> ssl.SSLContext:
    """The context httpx would make: `SSL_CERT_FILE` and `SSL_CERT_DIR`, else certifi's.

    Raises:
        UsageError: the certificates that the environment names cannot be read.
    """
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        hint = "look at SSL_CERT_FILE and SSL_CERT_DIR"
        raise UsageError(f"the certificates to trust cannot be read: {error}", hint=hint) from None
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context
