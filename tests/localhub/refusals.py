"""What the Hub and its CDN say when they refuse: one function per row of the failure table."""

from tests.localhub.wire import Headers, Response, to_json, whole


class Refused(Exception):
    """Ends the handling of a request with an error answer."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(status, message, code)
        # Messages quote what the client sent: no line break may reach a header.
        self.status, self.message, self.code = status, " ".join(message.split()), code
        self.headers: Headers = ()

    def with_headers(self, *headers: tuple[str, str]) -> "Refused":
        self.headers += headers
        return self

    def response(self) -> Response:
        """Render the answer as the Hub does."""
        headers: Headers = (
            ("Content-Type", "application/json; charset=utf-8"),
            ("X-Error-Message", self.message),
            *([("X-Error-Code", self.code)] if self.code else []),
            *self.headers,
        )
        return Response(self.status, headers, whole(to_json({"error": self.message})))


def _challenge(refused: Refused) -> Refused:
    realm = 'Bearer realm="Authentication required", charset="UTF-8"'
    return refused.with_headers(("WWW-Authenticate", realm))


def anonymous_not_found(*, with_code: bool) -> Refused:
    """A missing or private repo, asked for without a token."""
    code = "RepoNotFound" if with_code else None
    return _challenge(Refused(401, "Invalid username or password.", code))


def repo_not_found() -> Refused:
    return Refused(404, "Repository not found", "RepoNotFound")


def bad_token() -> Refused:
    return _challenge(Refused(401, "Invalid credentials in Authorization header"))


def gated_anonymous(kind: str, repo_id: str) -> Refused:
    return Refused(
        401,
        f"Access to {kind} {repo_id} is restricted. You must have access to it and be "
        "authenticated to access it. Please log in.",
        "GatedRepo",
    )


def gated_unlisted(kind: str, repo_id: str) -> Refused:
    return Refused(
        403,
        f"Access to {kind} {repo_id} is restricted and you are not in the authorized list. "
        f"Visit https://hf.co/{repo_id} to ask for access.",
        "GatedRepo",
    )


def disabled() -> Refused:
    return Refused(403, "Access to this resource is disabled.")


def revision_not_found(revision: str) -> Refused:
    return Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(commit: str) -> Refused:
    """A missing file; the commit lets clients remember that it is missing there."""
    refused = Refused(404, "Entry not found", "EntryNotFound")
    return refused.with_headers(("X-Repo-Commit", commit))


def directory_not_found(path: str, revision: str) -> Refused:
    return Refused(404, f'{path} does not exist on "{revision}"', "EntryNotFound")


def no_such_route() -> Refused:
    return Refused(404, "Sorry, we can't find the page you are looking for.")


def encoded_slash(repo_id: str) -> Refused:
    message = f"Invalid repo name: {repo_id} - repo name includes an url-encoded slash"
    return Refused(400, message)


def bad_request(message: str) -> Refused:
    return Refused(400, message)


def rate_limited() -> Refused:
    return Refused(429, "We had to rate limit your IP. Please retry later.")


def expired_signature() -> Response:
    return _xml(403, "AccessDenied", "Request has expired")


def bad_signature() -> Response:
    return _xml(403, "AccessDenied", "Access denied")


def unwanted_authorization() -> Response:
    """What S3 says to a token beside a signature."""
    return _xml(400, "InvalidArgument", "Only one auth mechanism allowed")


def no_such_key() -> Response:
    return _xml(404, "NoSuchKey", "The specified key does not exist.")


def _xml(status: int, code: str, message: str) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return Response(status, (("Content-Type", "application/xml"),), whole(body.encode()))
