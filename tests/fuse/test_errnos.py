"""The table of errnos: every failure that hubfs can name has a row, and rows mean what they say."""

from __future__ import annotations

import errno
import inspect

import pytest

from hubfs import errors
from hubfs.fuse.errnos import ERRNOS, errno_of

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, errors.HubfsError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_of_errors_has_a_row(kind: type[errors.HubfsError]) -> None:
    assert kind in ERRNOS


def test_every_row_is_of_a_class_of_errors() -> None:
    assert set(ERRNOS) == set(CLASSES)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RepoNotFound("x"), errno.ENOENT),
        (errors.RevisionNotFound("x"), errno.ENOENT),
        (errors.EntryNotFound("x"), errno.ENOENT),
        (errors.AccessDenied("x"), errno.EACCES),
        (errors.BadToken("x"), errno.EACCES),
        (errors.HubUnreachable("x"), errno.EIO),
        (errors.RateLimited("x", retry_after=1), errno.EIO),
        (errors.Offline("x"), errno.EIO),
        (errors.StoreFull("x"), errno.EIO),
        (errors.FetchFailed("x"), errno.EIO),
        (errors.ContentMismatch("x"), errno.EIO),
        (errors.FetchStopped("x"), errno.EIO),
        (errors.ReadOnly("x"), errno.EROFS),
        (errors.NoSuchAttribute("x"), errno.ENODATA),
    ],
)
def test_an_errno_says_what_the_error_means(error: errors.HubfsError, code: int) -> None:
    assert errno_of(error) == code


def test_only_the_hubs_own_denial_is_enoent() -> None:
    """A program that reads ENOENT gives up for good: nothing uncertain may look like it."""
    absent = {kind for kind, code in ERRNOS.items() if code == errno.ENOENT}
    assert absent == {
        errors.NotOnHub,
        errors.RepoNotFound,
        errors.RevisionNotFound,
        errors.EntryNotFound,
        errors.NoSuchEntry,
    }


def test_a_class_without_a_row_takes_that_of_its_nearest_relative() -> None:
    class VeryGated(errors.AccessDenied):
        pass

    assert errno_of(VeryGated("x")) == errno.EACCES
