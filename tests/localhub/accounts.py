"""Tokens, and what they open."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.localhub.refusals import (
    Refused,
    anonymous_not_found,
    bad_token,
    disabled,
    gated_anonymous,
    gated_unlisted,
    repo_not_found,
)
from tests.localhub.repository import Repository


@dataclass(frozen=True)
class Account:
    """Who a token belongs to; `grants` are repo ids or globs, None grants all."""

    name: str
    grants: frozenset[str] | None = None

    def may_open(self, repo: Repository) -> bool:
        if self.grants is None:
            return True
        return any(fnmatchcase(repo.id.lower(), grant.lower()) for grant in self.grants)


class Accounts:
    """All tokens that are valid."""

    def __init__(self) -> None:
        self._by_token: dict[str, Account] = {}

    def add(self, token: str, account: Account) -> None:
        self._by_token[token] = account

    def remove(self, token: str) -> None:
        del self._by_token[token]

    def identify(self, authorization: str | None) -> Account | None:
        """Return whose token this is; None for no token at all.

        Raises:
            Refused: the token is not valid.
        """
        if not authorization:
            return None
        token = authorization.removeprefix("Bearer ").strip()
        if token not in self._by_token:
            raise bad_token()
        return self._by_token[token]


def check_access(
    repo: Repository | None, account: Account | None, *, content: bool, with_code: bool
) -> Repository:
    """Return the repo if this account may see it; `content`: if it may read files.

    Raises:
        Refused: it may not, or there is no such repo, which looks the same.
    """
    is_listed = repo is not None and account is not None and account.may_open(repo)
    if repo is None or (repo.private and not is_listed):
        raise repo_not_found() if account else anonymous_not_found(with_code=with_code)
    if repo.disabled:
        raise disabled()
    if content and repo.gated and not is_listed:
        raise _gated(repo, account)
    return repo


def _gated(repo: Repository, account: Account | None) -> Refused:
    refuse = gated_unlisted if account else gated_anonymous
    return refuse(repo.kind, repo.id)
