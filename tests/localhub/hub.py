"""LocalHub: the state of a Hub, served on two origins."""

import shutil
import ssl
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from tests.localhub.connection import Service
from tests.localhub.refusals import Refused
from tests.localhub.routes_control import answer_control
from tests.localhub.routes_files import answer_cdn
from tests.localhub.routes_hub import answer_hub
from tests.localhub.server import HOST, Origin
from tests.localhub.state import HubState
from tests.localhub.wire import Request, Response


class LocalHub(HubState):
    """A Hugging Face Hub on this machine; a context manager.

    Its API and small files are at `endpoint`, LFS content at `cdn_endpoint`.
    Repos are made and changed by the methods of Catalog; `log` says what was
    asked, `faults` what shall go wrong; HubState lists the knobs.
    """

    def __init__(
        self,
        *,
        tls: bool = False,
        token: str | None = None,
        port: int = 0,
        log_file: Path | None = None,
    ) -> None:
        super().__init__(token=token, log_file=log_file)
        self._certificates = _Certificates() if tls else None
        context = self._certificates.context if self._certificates else None
        self._hub_origin = Origin(Service(self, "hub", _answer_front, context), port)
        self._cdn_origin = Origin(Service(self, "cdn", _answer_cdn, context))

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust (SSL_CERT_FILE); None without TLS."""
        return self._certificates.ca_file if self._certificates else None

    def open(self) -> None:
        """Take the ports and serve.

        Raises:
            OSError: the port is taken.
        """
        try:
            self._hub_origin.open()
            self._cdn_origin.open()
        except OSError:
            self.close()
            raise
        self.endpoint = self._hub_origin.address
        self.cdn_endpoint = self._cdn_origin.address
        self.up()

    def close(self) -> None:
        """Stop serving; no thread, socket or file is left. May be repeated."""
        self._hub_origin.close()
        self._cdn_origin.close()
        if self._certificates:
            self._certificates.remove()

    def down(self) -> None:
        """Refuse connections and end those that are open."""
        self._hub_origin.stop()
        self._cdn_origin.stop()

    def up(self) -> None:
        """Serve again, at the same ports."""
        self._cdn_origin.start()
        self._hub_origin.start()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Certificates:
    """A certificate for this machine, and the authority that vouches for it."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="localhub-"))
        self.ca_file = self._directory / "ca.pem"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority = trustme.CA()
        authority.issue_cert(HOST, "localhost").configure_cert(self.context)
        authority.cert_pem.write_to_path(str(self.ca_file))

    def remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


def _answer_front(hub: HubState, request: Request, number: int) -> Response:
    if request.segments[0] != "-":
        return answer_hub(hub, request, number)
    try:
        return answer_control(hub, request)
    except Refused as refused:
        return refused.response()


def _answer_cdn(hub: HubState, request: Request, _: int) -> Response:
    return answer_cdn(hub, request)
