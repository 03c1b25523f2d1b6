"""The earlier service's flow over the Unix socket, and what each route promises."""

from __future__ import annotations

import hashlib
import json
import random
import stat

import pytest

from tests.control.rig import Api
from tests.localhub import LocalHub

WEIGHTS = random.Random(1).randbytes(300_000)
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": b"{}" * 500,
    "model-fp16.safetensors": WEIGHTS,
    "model.Q4_K_M.gguf": random.Random(2).randbytes(200_000),
    "copy/model-fp16.safetensors": WEIGHTS,
}


def test_the_flow_of_the_earlier_service(api: Api, hub: LocalHub) -> None:
    hub.create_repo("acme/flow", FILES)
    known = api.post("/v1/hub/register", {"repo": "acme/flow"})
    assert known["status"] == "syncing"
    synced = api.ended(known["job"]["id"])
    assert synced["state"] == "completed"
    assert synced["result"]["files"] == len(FILES)
    repo = api.get("/v1/hub/models/acme/flow")
    assert repo["status"] == "synced"
    by_path = {file["path"]: file for file in repo["listing"]}
    assert by_path["config.json"]["state"] == "complete"
    assert by_path["model.Q4_K_M.gguf"]["precision"] == "q4_k_m"
    assert by_path["model-fp16.safetensors"]["state"] == "absent"
    batch = api.post("/v1/hub/download", {"repo": "acme/flow", "include": ["*.safetensors"]})
    done = api.ended(batch["jobs"][0]["id"])
    assert done["state"] == "completed"
    # Two paths of one content are one file to fetch.
    assert done["progress"]["files_total"] == 1
    assert hub.log.content_bytes("copy/model-fp16.safetensors") + hub.log.content_bytes(
        "model-fp16.safetensors"
    ) == len(WEIGHTS)
    listing = api.get("/v1/hub/models/acme/flow")["listing"]
    complete = {file["path"]: file for file in listing if file["state"] == "complete"}
    assert complete["copy/model-fp16.safetensors"]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert "model.Q4_K_M.gguf" not in complete
    assert done["logs"][-1]["text"] == "completed"


def test_a_batch_of_repos_is_one_job_each(api: Api, hub: LocalHub) -> None:
    hub.create_repo("acme/one", FILES)
    hub.create_repo("acme/two", FILES)
    wish = {"repo": "acme/one", "also": [{"repo": "acme/two"}]}
    batch = api.post("/v1/hub/download", wish)
    assert [job["batch"] for job in batch["jobs"]] == [batch["batch"]] * 2
    for job in batch["jobs"]:
        assert api.ended(job["id"])["state"] == "completed"
    found = api.get("/v1/hub/jobs", batch=batch["batch"])["jobs"]
    assert {job["arguments"]["repo"] for job in found} == {"acme/one", "acme/two"}
    assert hub.log.content_bytes("acme/two/model.Q4_K_M.gguf") == 0 or (
        hub.log.content_bytes("acme/one/model.Q4_K_M.gguf") == 0
    )


def test_a_check_says_what_a_download_would_bring(api: Api, hub: LocalHub) -> None:
    hub.create_repo("acme/check", {"a.bin": b"a" * 1000, "b.bin": b"b" * 500})
    wish = {"repo": "acme/check", "include": ["a*"]}
    found = api.post("/v1/hub/download/check", wish, status=200)
    assert (found["files"], found["missing_files"], found["missing_size"]) == (1, 1, 1000)
    api.ended(api.post("/v1/hub/download", wish)["jobs"][0]["id"])
    assert api.post("/v1/hub/download/check", wish, status=200)["missing_size"] == 0


def test_events_tell_of_a_job_until_it_has_ended(api: Api, hub: LocalHub) -> None:
    hub.create_repo("acme/events", FILES)
    states = []
    with api.client.stream("GET", "/v1/hub/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        job = api_in_thread(api, "acme/events")
        for line in lines:
            if line.startswith("data: "):
                told = json.loads(line[6:])
                if told["id"] == job:
                    states.append(told["state"])
                    if told["state"] == "completed":
                        break
    assert states[0] in {"pending", "running"}
    assert states[-1] == "completed"


def api_in_thread(api: Api, repo: str) -> int:
    number: int = api.post("/v1/hub/download", {"repo": repo})["jobs"][0]["id"]
    return number


def test_pages_of_jobs_and_repos_lead_to_each_other(api: Api, hub: LocalHub) -> None:
    for number in range(5):
        hub.create_repo(f"pages/repo{number}", {"config.json": b"{}"})
        api.ended(api.post("/v1/hub/sync", {"repo": f"pages/repo{number}"})["id"])
    first = api.get("/v1/hub/jobs", limit=2, kind="sync")
    following = api.get("/v1/hub/jobs", limit=2, kind="sync", before=first["next"])
    assert first["jobs"][-1]["id"] > following["jobs"][0]["id"]
    names: list[str] = []
    after = "pages/"
    while after is not None and len(names) < 100:
        page = api.get("/v1/hub/models", limit=2, after=after, cached=True)
        names += [repo["repo"] for repo in page["models"]]
        after = page["next"]
    assert [name for name in names if name.startswith("pages/")] == [
        f"pages/repo{number}" for number in range(5)
    ]
    hub.create_repo("pages/files", FILES)
    api.ended(api.post("/v1/hub/sync", {"repo": "pages/files"})["id"])
    files = api.get("/v1/hub/models/pages/files", limit=2)
    more = api.get("/v1/hub/models/pages/files", limit=100, after=files["next"])
    assert len(files["listing"]) + len(more["listing"]) == len(FILES)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/hub/jobs/99999", None, 404),
        ("DELETE", "/v1/hub/jobs/99999", None, 404),
        ("POST", "/v1/hub/sync", {"repo": "not a repo"}, 422),
        ("POST", "/v1/hub/sync", {}, 422),
        ("POST", "/v1/hub/sync", {"repo": "a/b", "colour": "red"}, 422),
        ("GET", "/v1/hub/models/acme/unknown", None, 404),
        ("GET", "/v1/hub/nothing", None, 404),
        ("PUT", "/v1/hub/jobs", None, 405),
        ("POST", "/v1/hub/download/check", {"repo": "acme/unknown"}, 404),
    ],
)
def test_failures_are_problems(api: Api, method: str, path: str, body: object, status: int) -> None:
    answer = api.client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]


def test_what_is_not_marked_as_json_is_told_how_to_be(api: Api) -> None:
    """As curl sends it, unless told otherwise."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = b'{"repo": "acme/unknown"}'
    for path in ("register", "sync", "download", "scan", "verify", "evict", "pins"):
        answer = api.client.post(f"/v1/hub/{path}", content=body, headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (
            422,
            "what was sent is not marked as JSON",
        )
        assert "content-type: application/json" in answer.json()["hint"]


def test_a_method_that_is_not_there_names_those_that_are(api: Api) -> None:
    assert api.client.put("/v1/hub/jobs/1").headers["allow"] == "DELETE, GET"
    assert api.client.get("/v1/hub/sync").headers["allow"] == "POST"


def test_a_known_repo_that_cannot_be_synced_says_why(api: Api) -> None:
    known = api.post("/v1/hub/register", {"repo": "acme/absent", "auto_sync": False})
    assert (known["status"], known["job"]) == ("registered", None)
    job = api.ended(api.post("/v1/hub/sync", {"repo": "acme/absent"})["id"])
    assert job["state"] == "failed"
    repo = api.get("/v1/hub/models/acme/absent")
    assert repo["status"] == "failed"
    assert "acme/absent" in repo["error"]


def names(api: Api) -> list[str]:
    return [each["repo"] for each in api.get("/v1/hub/models", limit=500)["models"]]


def test_what_the_hub_refuses_does_not_become_known(api: Api, hub: LocalHub) -> None:
    hub.create_repo("closed/model", FILES, disabled=True)
    for repo in ("acme/never", "closed/model"):
        known = api.post("/v1/hub/register", {"repo": repo})
        job = api.ended(known["job"]["id"])
        assert job["state"] == "failed"
        assert repo in job["error"]
        assert api.client.get(f"/v1/hub/models/{repo}").status_code == 404
        assert repo not in names(api)
    # What was never known is not made known as failed by a sync either.
    job = api.ended(api.post("/v1/hub/sync", {"repo": "acme/never"})["id"])
    assert job["state"] == "failed"
    api.post("/v1/hub/register", {"repo": "acme/never", "auto_sync": False})
    assert api.get("/v1/hub/models/acme/never")["status"] == "registered"


def test_what_was_known_before_stays_known_when_the_hub_refuses_it(api: Api, hub: LocalHub) -> None:
    hub.create_repo("acme/gone", {"config.json": b"{}"})
    api.ended(api.post("/v1/hub/register", {"repo": "acme/gone"})["job"]["id"])
    hub.delete_repo("acme/gone")
    api.ended(api.post("/v1/hub/register", {"repo": "acme/gone"})["job"]["id"])
    repo = api.get("/v1/hub/models/acme/gone")
    assert (repo["status"], repo["files"]) == ("failed", 1)
    assert "acme/gone" in names(api)


def test_a_revision_that_is_not_there_is_no_failure_of_the_repo(api: Api, hub: LocalHub) -> None:
    hub.create_repo("acme/whole", {"config.json": b"{}"})
    api.ended(api.post("/v1/hub/register", {"repo": "acme/whole"})["job"]["id"])
    wish = {"repo": "acme/whole", "revision": "mistyped"}
    job = api.ended(api.post("/v1/hub/sync", wish)["id"])
    assert (job["state"], job["error"]) == ("failed", "acme/whole@mistyped: no such revision")
    assert api.get("/v1/hub/models/acme/whole")["status"] == "synced"


def test_a_repo_is_known_by_its_own_name_alone(api: Api, hub: LocalHub) -> None:
    hub.create_repo("acme/renamed", {"config.json": b"{}"})
    hub.add_alias("acme/former", "acme/renamed")
    job = api.ended(api.post("/v1/hub/register", {"repo": "acme/former"})["job"]["id"])
    assert job["result"]["repo"] == "acme/renamed"
    assert "acme/renamed" in names(api)
    assert "acme/former" not in names(api)
    assert api.get("/v1/hub/models/acme/former")["status"] == "synced"


def test_an_ended_job_cannot_be_cancelled(api: Api, hub: LocalHub) -> None:
    hub.create_repo("acme/ended", {"config.json": b"{}"})
    number = api.post("/v1/hub/sync", {"repo": "acme/ended"})["id"]
    api.ended(number)
    assert api.client.delete(f"/v1/hub/jobs/{number}").status_code == 409
    assert api.client.post(f"/v1/hub/jobs/{number}/retry").status_code == 409


def test_status_health_and_metrics(api: Api) -> None:
    assert api.get("/healthz")["status"] == "ok"
    status = api.get("/v1/hub/status")
    assert status["mountpoint"] is None
    assert status["cache"]["blobs"] >= 0
    text = api.client.get("/metrics").text
    assert "# TYPE hubfs_cache_bytes gauge\n" in text


def test_the_document_describes_every_route_and_problem(api: Api) -> None:
    document = api.get("/openapi.json")
    paths = set(document["paths"])
    assert {"/v1/hub/register", "/v1/hub/jobs/{id}", "/metrics", "/healthz"} <= paths
    assert "Problem" in document["components"]["schemas"]


def test_the_socket_is_its_owners_alone(api: Api) -> None:
    link = api.cache / "control.sock"
    assert stat.S_IMODE(link.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(link.stat().st_mode)


def test_a_body_that_does_not_end_is_refused(api: Api) -> None:
    assert api.client.post("/v1/hub/sync", content=b"x" * (2 << 20)).status_code == 413
