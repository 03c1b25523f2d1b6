"""Every failure hubfs can name, in one tree: in at `hub` and `store`, out at one errno table.

An error's text is one sentence for a person: what is wrong, then what to do
about it (`hint`). It never contains a token or a signed address.
"""

from __future__ import annotations


class HubfsError(Exception):
    """Base of all expected failures; anything else that escapes is a bug."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(HubfsError):
    """A flag, a name or a setting that cannot be right."""


# --- the Hub ---------------------------------------------------------------------------


class HubError(HubfsError):
    """The Hub answered with a refusal, or did not answer."""


class NotOnHub(HubError):
    """What was asked for does not exist, as far as this token may know."""


class RepoNotFound(NotOnHub):
    """No such repo, or a private one seen without the right token."""


class RevisionNotFound(NotOnHub):
    """The repo has no such branch, tag or commit."""


class EntryNotFound(NotOnHub):
    """The revision has no such file."""


class AccessDenied(HubError):
    """The repo is there, but this token may not read it: gated, disabled, forbidden."""


class BadToken(AccessDenied):
    """The token itself is refused."""


class TransientHubError(HubError):
    """A failure that a later attempt may not meet."""


class HubUnreachable(TransientHubError):
    """No answer: DNS, TLS, connection or stall; or an answer that says try later (5xx)."""


class NoConnection(HubUnreachable):
    """Nothing is at the Hub's address: it is refused, or has no such name. That is soon known."""


class RateLimited(TransientHubError):
    """The Hub asks to slow down; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class LocationExpired(TransientHubError):
    """A signed address is no longer honoured: resolve the file again."""


class ProtocolViolation(TransientHubError):
    """An answer that breaks the protocol: a wrong range, a lying total, bytes cut short."""


class CircularPages(ProtocolViolation):
    """A listing's pages come again: whoever answers does not turn them."""


class TreeTooLarge(HubError):
    """A commit lists more than a machine can be expected to hold."""


class Offline(HubError):
    """A request would be needed, and hubfs was told to make none."""


# --- the store -------------------------------------------------------------------------


class StoreError(HubfsError):
    """The cache directory cannot do what is asked."""


class CacheInUse(StoreError):
    """Another process owns this cache."""


class IndexTooNew(StoreError):
    """The index was written by a newer hubfs."""


class IndexCorrupt(StoreError):
    """The index cannot be read."""


class StoreFull(StoreError):
    """The disk has no room, or the cache may not be written."""


class StoreReadOnly(StoreFull):
    """The cache may not be written, or not so much, and making room would not help."""


class BudgetSpent(StoreFull):
    """All that fills the cache's budget is open or pinned, so nothing new is kept."""


class StillNeeded(StoreError):
    """What is to be deleted is pinned or open."""


class StoreDamaged(StoreError):
    """A cached file cannot be read, or is not what its name says."""


class CannotAdopt(StoreError):
    """A file elsewhere cannot become a blob."""


class CannotExport(StoreError):
    """A blob cannot become a file elsewhere."""


# --- fetching --------------------------------------------------------------------------


class FetchError(HubfsError):
    """Bytes could not be had."""


class FetchFailed(FetchError):
    """The transfer ended before the bytes arrived; the text says why."""


class ContentMismatch(FetchError):
    """What the server sent does not hash to what the listing promised."""


class FetchStopped(FetchError):
    """hubfs is shutting down."""


# --- jobs ------------------------------------------------------------------------------


class JobError(HubfsError):
    """Something about a job cannot be done."""


class NoSuchJob(JobError):
    """No job has that id, or it is so old that it has been forgotten."""


class WrongJobState(JobError):
    """A job in that state cannot be cancelled, or tried again."""


class JobIncomplete(JobError):
    """Part of a job's work failed; `may_pass` says whether another attempt may do it.

    `lacks_connection`: some of it failed for that.
    """

    def __init__(
        self, message: str, *, may_pass: bool, lacks_connection: bool = False, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.may_pass = may_pass
        self.lacks_connection = lacks_connection


# --- the tree --------------------------------------------------------------------------


class TreeError(HubfsError):
    """A request that the tree cannot answer."""


class NoSuchEntry(TreeError):
    """The directory has no entry of that name."""


class NotADirectory(TreeError):
    """A directory operation on something else."""


class IsADirectory(TreeError):
    """A file operation on a directory."""


class NotASymlink(TreeError):
    """readlink on something else."""


class ReadOnly(TreeError):
    """The tree never changes by hand."""


class NoSuchAttribute(TreeError):
    """No extended attribute of that name."""


class StaleHandle(TreeError):
    """An inode or handle that is no longer known."""


class MountFailed(HubfsError):
    """The kernel refused the mount."""


class UnfitMountpoint(MountFailed, UsageError):
    """What was named to mount at is no empty directory: a name that cannot be right."""
