"""Everything a route may ask for: repos, tokens, knobs, log, faults. No sockets."""

from collections.abc import Iterable
from pathlib import Path

from tests.localhub.accounts import Account, Accounts
from tests.localhub.catalog import Catalog
from tests.localhub.faults import Faults
from tests.localhub.log import RequestLog
from tests.localhub.quota import Quota
from tests.localhub.signing import Signer


class HubState(Catalog):
    """The Hub as a value; attributes without underscore may be set at any time.

    rtt: seconds added to a connect, a TLS handshake and each request.
    bandwidth: bytes per second and connection; None is as fast as it goes.
    page_size, expanded_page_size: entries of a tree page at most.
    signature_lifetime: seconds for which a CDN address works.
    compress: whether plain files are gzipped for clients that accept it, as CloudFront does.
    anonymous_error_code: whether a 401 for a missing repo names RepoNotFound.
    xet, xet_cas_url: whether X-Xet-Hash is sent, and where the token leads.
    """

    def __init__(self, *, token: str | None = None, log_file: Path | None = None) -> None:
        super().__init__()
        self.rtt = 0.0
        self.bandwidth: float | None = None
        self.page_size = 1000
        self.expanded_page_size = 50
        self.signature_lifetime = 3600.0
        self.compress = True
        self.anonymous_error_code = False
        self.xet = False
        self.xet_cas_url = "https://cas.invalid"
        self.endpoint = ""
        self.cdn_endpoint = ""
        self.log = RequestLog(log_file)
        self.faults = Faults()
        self.quota = Quota()
        self.signer = Signer()
        self.accounts = Accounts()
        if token:
            self.accounts.add(token, Account("owner"))

    @property
    def requests_per_window(self) -> int:
        """How many requests a caller has per bucket and window of `quota.window` seconds."""
        return self.quota.limit

    @requests_per_window.setter
    def requests_per_window(self, limit: int) -> None:
        self.quota.reset()
        self.quota.limit = limit

    def add_token(self, token: str, grants: Iterable[str] = (), name: str = "user") -> None:
        """Make a token valid; `grants` are ids or globs of private and gated repos."""
        self.accounts.add(token, Account(name, frozenset(grants)))

    def remove_token(self, token: str) -> None:
        self.accounts.remove(token)

    def expire_signatures(self) -> None:
        """Make every CDN address handed out so far answer 403."""
        self.signer.expire_all()
