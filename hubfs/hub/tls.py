"""One TLS context for metadata and contents alike, so that both trust the same certificates."""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The context httpx would make: `SSL_CERT_FILE` and `SSL_CERT_DIR`, else certifi's."""
    return httpx.create_ssl_context()
