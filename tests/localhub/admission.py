"""From a request and an address to the repo, or to the right refusal."""

from tests.localhub.accounts import check_access
from tests.localhub.addresses import Address, quote_path
from tests.localhub.refusals import Refused, revision_not_found
from tests.localhub.repository import Commit, Repository, UnknownRevision
from tests.localhub.state import HubState
from tests.localhub.wire import Request, Response, Subject, whole


class Moved(Refused):
    """The repo has another id; ends the handling with a redirect to it."""

    def __init__(self, location: str) -> None:
        super().__init__(307, f"Temporary Redirect. Redirecting to {location}")
        self.location = location

    def response(self) -> Response:
        headers = (("Content-Type", "text/plain; charset=utf-8"), ("Location", self.location))
        return Response(307, headers, whole(self.message.encode()))


def admit(hub: HubState, request: Request, address: Address, *, content: bool) -> Repository:
    """Return the repo that an address names.

    Raises:
        Refused: it is absent, closed to this caller, or has moved.
    """
    account = hub.accounts.identify(request.headers.get("authorization"))
    found = hub.find_repo(address.repo_id, address.kind)
    repo = check_access(found, account, content=content, with_code=hub.anonymous_error_code)
    if repo.id.lower() != address.repo_id.lower():
        raise Moved(address.moved_to(quote_path(repo.id), request.target.partition("?")[2]))
    return repo


def commit_at(repo: Repository, revision: str) -> Commit:
    """Return the commit that a revision names.

    Raises:
        Refused: it names none.
    """
    try:
        return repo.resolve(revision)
    except UnknownRevision:
        raise revision_not_found(revision) from None


def about(repo: Repository, path: str | None = None) -> Subject:
    return Subject(repo.id, path)
