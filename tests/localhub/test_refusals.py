"""Every row of the failure table, hub-protocol.md, section 2.5."""

import json

from tests.localhub import LocalHub
from tests.localhub.asking import Answer, ask, follow
from tests.localhub.samples import CONFIG, TOKEN, api, commit_of


def error_of(answer: Answer) -> tuple[int, str | None, str | None]:
    return answer.status, answer.headers["X-Error-Code"], answer.headers["X-Error-Message"]


def test_a_missing_repo(hub: LocalHub) -> None:
    hub.create_repo("acme/secret", {"a": b"a"}, private=True)
    for repo_id in ("acme/nope", "acme/secret"):
        anonymous = api(hub, repo_id)
        assert error_of(anonymous) == (401, None, "Invalid username or password.")
        assert anonymous.headers["WWW-Authenticate"].startswith("Bearer ")
    assert error_of(api(hub, "acme/nope", TOKEN)) == (404, "RepoNotFound", "Repository not found")
    assert api(hub, "acme/secret", TOKEN).status == 200
    hub.anonymous_error_code = True
    assert error_of(api(hub, "acme/nope"))[:2] == (401, "RepoNotFound")


def test_a_private_repo_is_missing_for_strangers(hub: LocalHub) -> None:
    hub.create_repo("acme/secret", {"a": b"a"}, private=True)
    hub.add_token("hf_friend", grants={"acme/secret"})
    hub.add_token("hf_stranger")

    assert api(hub, "acme/secret", {"Authorization": "Bearer hf_friend"}).status == 200
    refused = api(hub, "acme/secret", {"Authorization": "Bearer hf_stranger"})
    assert error_of(refused)[:2] == (404, "RepoNotFound")


def test_a_token_that_is_not_valid(hub: LocalHub) -> None:
    answer = api(hub, "acme/tiny", {"Authorization": "Bearer hf_wrong"})

    assert error_of(answer) == (401, None, "Invalid credentials in Authorization header")


def test_a_gated_repo_shows_what_it_has_and_keeps_it(hub: LocalHub) -> None:
    hub.create_repo("acme/gated", {"config.json": CONFIG}, gated="manual")
    hub.add_token("hf_stranger")
    url = f"{hub.endpoint}/acme/gated/resolve/main/config.json"

    assert json.loads(api(hub, "acme/gated").body)["gated"] == "manual"
    assert api(hub, "acme/gated/tree/main").status == 200
    assert error_of(ask(url)) == (
        401,
        "GatedRepo",
        (
            "Access to model acme/gated is restricted. You must have access to it and be "
            "authenticated to access it. Please log in."
        ),
    )
    assert error_of(ask(url, headers={"Authorization": "Bearer hf_stranger"})) == (
        403,
        "GatedRepo",
        (
            "Access to model acme/gated is restricted and you are not in the authorized list. "
            "Visit https://hf.co/acme/gated to ask for access."
        ),
    )
    assert follow(url, headers=TOKEN).body == CONFIG


def test_a_disabled_repo(hub: LocalHub) -> None:
    hub.set_access("acme/tiny", disabled=True)

    expected = (403, None, "Access to this resource is disabled.")
    assert error_of(api(hub, "acme/tiny", TOKEN)) == expected


def test_a_missing_revision(hub: LocalHub) -> None:
    for path in ("api/models/acme/tiny/tree/zzz", "acme/tiny/resolve/zzz/config.json"):
        answer = ask(f"{hub.endpoint}/{path}")
        assert error_of(answer) == (404, "RevisionNotFound", "Invalid rev id: zzz")


def test_a_missing_file_names_the_commit_that_lacks_it(hub: LocalHub) -> None:
    answer = ask(f"{hub.endpoint}/acme/tiny/resolve/main/nope", "HEAD")

    assert error_of(answer) == (404, "EntryNotFound", "Entry not found")
    assert answer.headers["X-Repo-Commit"] == commit_of(hub)


def test_a_missing_directory(hub: LocalHub) -> None:
    answer = api(hub, "acme/tiny/tree/main/nope")

    assert error_of(answer) == (404, "EntryNotFound", 'nope does not exist on "main"')


def test_a_route_that_does_not_exist(hub: LocalHub) -> None:
    for path in ("", "/api", "/api/nonsense", "/acme/tiny/blob/main/x", "/api/models/a/b/nope"):
        answer = ask(hub.endpoint + path)
        message = "Sorry, we can't find the page you are looking for."
        assert error_of(answer) == (404, None, message)


def test_requests_are_counted_and_refused_when_there_are_too_many(hub: LocalHub) -> None:
    hub.requests_per_window = 2

    answers = [api(hub, "acme/tiny") for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [a.headers["RateLimit"].partition(";t=")[0] for a in answers] == [
        '"api";r=1',
        '"api";r=0',
        '"api";r=0',
    ]
    assert answers[2].headers["RateLimit-Policy"] == '"fixed window";"api";q=2;w=300'
    resolve = ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.safetensors")
    assert resolve.headers["RateLimit"].startswith('"resolvers";r=1;t=')
