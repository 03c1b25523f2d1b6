"""What an address asks for, by the paths that the Hub has."""

from __future__ import annotations

import pytest

from hubfs.hub.tally import kind_of

HUB = "https://hub.example"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (f"{HUB}/api/models/acme/model/revision/main?expand=sha", "info"),
        (f"{HUB}/api/models/acme/model", "info"),
        (f"{HUB}/api/organizations/acme/overview", "info"),
        (f"{HUB}/api/datasets/acme/data/tree/0123?recursive=true", "tree"),
        (f"{HUB}/api/models/acme/model/refs", "refs"),
        (f"{HUB}/acme/model/resolve/main/tree/model.bin", "resolve"),
        (f"{HUB}/datasets/acme/data/resolve/main/a%20b.csv", "resolve"),
        ("https://cdn.example/repos/ab/cd/0123?Signature=/api/", "storage"),
    ],
)
def test_every_address_is_of_one_kind(url: str, kind: str) -> None:
    assert kind_of(url) == kind
