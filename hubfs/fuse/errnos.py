"""The one table that turns failures into errnos. The nearest class in the tree of errors counts."""

from __future__ import annotations

import errno
from typing import Final

from hubfs import errors

ERRNOS: Final[dict[type[errors.HubfsError], int]] = {
    errors.HubfsError: errno.EIO,
    errors.UsageError: errno.EINVAL,
    errors.HubError: errno.EIO,
    errors.NotOnHub: errno.ENOENT,
    errors.RepoNotFound: errno.ENOENT,
    errors.RevisionNotFound: errno.ENOENT,
    errors.EntryNotFound: errno.ENOENT,
    errors.AccessDenied: errno.EACCES,
    errors.BadToken: errno.EACCES,
    errors.TransientHubError: errno.EIO,
    errors.HubUnreachable: errno.EIO,
    errors.NoConnection: errno.EIO,
    errors.RateLimited: errno.EIO,
    errors.LocationExpired: errno.EIO,
    errors.ProtocolViolation: errno.EIO,
    errors.CircularPages: errno.EIO,
    errors.TreeTooLarge: errno.EIO,
    errors.Offline: errno.EIO,
    errors.StoreError: errno.EIO,
    errors.CacheInUse: errno.EIO,
    errors.IndexTooNew: errno.EIO,
    errors.IndexCorrupt: errno.EIO,
    errors.StoreFull: errno.EIO,  # never ENOSPC: to a reader that means something else
    errors.StoreReadOnly: errno.EIO,
    errors.BudgetSpent: errno.EIO,
    errors.StillNeeded: errno.EBUSY,
    errors.StoreDamaged: errno.EIO,
    errors.CannotAdopt: errno.EIO,
    errors.CannotExport: errno.EIO,
    errors.FetchError: errno.EIO,
    errors.FetchFailed: errno.EIO,
    errors.ContentMismatch: errno.EIO,
    errors.FetchStopped: errno.EIO,
    errors.JobError: errno.EIO,
    errors.NoSuchJob: errno.EIO,
    errors.WrongJobState: errno.EIO,
    errors.JobIncomplete: errno.EIO,
    errors.TreeError: errno.EIO,
    errors.NoSuchEntry: errno.ENOENT,
    errors.NotADirectory: errno.ENOTDIR,
    errors.IsADirectory: errno.EISDIR,
    errors.NotASymlink: errno.EINVAL,
    errors.ReadOnly: errno.EROFS,
    errors.NoSuchAttribute: errno.ENODATA,
    errors.StaleHandle: errno.ESTALE,
    errors.MountFailed: errno.EIO,
    errors.UnfitMountpoint: errno.EINVAL,
}


def errno_of(error: errors.HubfsError) -> int:
    """The errno that tells a program what `error` tells a person."""
    return next(ERRNOS[kind] for kind in type(error).__mro__ if kind in ERRNOS)
