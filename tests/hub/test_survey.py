"""What a few requests tell of an endpoint and of a token, whoever answers."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from hubfs.hub import survey
from hubfs.hub.credentials import token_place
from hubfs.hub.metadata import Answer
from tests.localhub import Fault, LocalHub

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
AT = 1792567680.0


def test_an_answer_tells_clock_and_rate() -> None:
    headers = httpx.Headers(
        {
            "date": DATE,
            "ratelimit": '"api";r=480;t=55',
            "ratelimit-policy": '"fixed window";"api";q=500;w=300',
        }
    )
    facts = survey.endpoint_facts("https://hub.test", Answer(200, headers, []), 0.2, AT - 30)
    assert (facts.is_hub, facts.skew, facts.left, facts.quota, facts.reset) == (
        True,
        30.0,
        480,
        500,
        55.0,
    )
    bare = survey.endpoint_facts("https://hub.test", Answer(200, httpx.Headers(), {}), 0.2, AT)
    assert (bare.is_hub, bare.skew, bare.left, bare.quota) == (False, None, None, None)


@pytest.mark.parametrize("content", [None, [], {}, {"name": 7}, {"name": "me", "auth": [1]}])
def test_no_answer_about_a_token_is_believed_to_be_right(content: object) -> None:
    facts = survey.token_facts("HF_TOKEN", Answer(200, httpx.Headers(), content))
    assert facts.is_usable
    assert bool(facts.account) != bool(facts.error)


@pytest.mark.parametrize(("content", "is_mirror"), [(None, True), ({}, False), ([], False)])
def test_a_list_of_repos_that_is_empty_may_be_a_mirrors(
    content: object, *, is_mirror: bool
) -> None:
    facts = survey.endpoint_facts("https://hub.test", Answer(200, httpx.Headers(), content), 0, AT)
    assert facts.lists_nothing == is_mirror


async def test_a_hub_is_told_from_what_is_none(
    local_hub_tls: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = local_hub_tls
    refused = await survey.survey_endpoint(hub.endpoint)
    assert "certificate" in refused.error
    monkeypatch.setenv("SSL_CERT_FILE", str(hub.ca_file))
    facts = await survey.survey_endpoint(hub.endpoint)
    assert (facts.error, facts.is_hub) == ("", True)
    assert facts.latency > 0
    assert abs(facts.skew or 99) < 60
    assert (await survey.survey_endpoint(f"{hub.endpoint}/nowhere")).lists_nothing
    limit = {"RateLimit": '"api";r=0;t=200'}
    hub.faults.add(Fault("status", status=429, headers=limit, times=None))
    facts = await survey.survey_endpoint(hub.endpoint)
    assert (facts.error, facts.is_limited, facts.reset) == ("", True, 201.0)
    hub.faults.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    token = await survey.survey_token(hub.endpoint)
    assert (token.place, token.account) == ("HF_TOKEN", "owner")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert (await survey.survey_token(hub.endpoint)).is_refused
    file = tmp_path / "token"
    file.write_text("hf_test")
    token = await survey.survey_token(hub.endpoint, file)
    assert (token.place, token.account) == (str(file), "owner")
    hub.down()
    assert (await survey.survey_endpoint(hub.endpoint)).error


def test_the_way_names_the_proxy_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@127.0.0.1:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    facts = survey.survey_way("https://hub.test")
    assert (facts.proxy, facts.addresses, facts.error) == ("127.0.0.1:3128", 1, "")
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    assert survey.survey_way("https://hub.test").proxy_error


def test_a_token_is_where_the_client_of_the_hub_looks_for_it() -> None:
    assert token_place({"HF_TOKEN": " "}) != "HF_TOKEN"
    assert token_place({"HF_TOKEN": "hf_x", "HF_OIDC_RESOURCE": ""}) == "HF_TOKEN"
