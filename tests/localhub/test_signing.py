from urllib.parse import parse_qs

import pytest

from tests.localhub.signing import BadSignature, Expired, Signer


def test_a_signed_address_opens_until_it_expires() -> None:
    signer = Signer()
    query = parse_qs(signer.sign("/shelf/hash", 100, "acme/tiny", "sub/é.bin"))

    grant = signer.check("/shelf/hash", query, 99.9)

    assert (grant.repo, grant.path) == ("acme/tiny", "sub/é.bin")
    with pytest.raises(Expired):
        signer.check("/shelf/hash", query, 100.0)


def test_all_addresses_can_be_made_to_expire_at_once() -> None:
    signer = Signer()
    query = parse_qs(signer.sign("/a", 100, "r", "p"))
    signer.expire_all()

    with pytest.raises(Expired):
        signer.check("/a", query, 0)
    signer.check("/a", parse_qs(signer.sign("/a", 100, "r", "p")), 0)


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        ("/b", {}),
        ("/a", {"Expires": ["999"]}),
        ("/a", {"Signature": ["x"]}),
        ("/a", {"Policy": ["W10="]}),
        ("/a", {"Policy": [], "Signature": []}),
    ],
)
def test_what_was_altered_opens_nothing(resource: str, change: dict[str, list[str]]) -> None:
    signer = Signer()
    query = {**parse_qs(signer.sign("/a", 100, "r", "p")), **change}

    with pytest.raises(BadSignature):
        signer.check(resource, {name: value for name, value in query.items() if value}, 0)
