"""Pins and room over the API: what the routes take, give and refuse."""

from __future__ import annotations

import random

from tests.control.rig import Api
from tests.control.test_metrics import read
from tests.localhub import File, LocalHub

WEIGHTS = random.Random(5).randbytes(200_000)
FILES = {"config.json": File(b'{"pin": 1}'), "model.safetensors": File(WEIGHTS, lfs=True)}


def test_pins_are_kept_listed_and_dropped(api: Api, hub: LocalHub) -> None:
    hub.create_repo("room/pins", FILES)
    wish = {"repo": "room/pins", "pattern": "*.safetensors"}
    first = api.post("/v1/hub/pins", wish, status=200)
    assert (first["is_known"], first["files"]) == (True, 1)  # it is listed for it
    assert api.post("/v1/hub/pins", wish, status=200)["created_at"] == first["created_at"]
    refused = api.client.post("/v1/hub/pins", json={"repo": "room/none"})
    assert refused.status_code == 404
    hub.down()
    try:
        later = api.post("/v1/hub/pins", {"repo": "room/later"}, status=200)
        assert (later["is_known"], later["files"]) == (False, 0)
    finally:
        hub.up()
    assert api.client.delete("/v1/hub/pins", params={"repo": "room/later"}).status_code == 200
    (pin,) = api.get("/v1/hub/pins")["pins"]
    assert (pin["is_known"], pin["files"], pin["size"]) == (True, 1, len(WEIGHTS))
    assert pin["cached"] == 0
    assert hub.log.content_bytes("model.safetensors") == 0  # a pin fetches nothing
    refused = api.client.delete("/v1/hub/pins", params={"repo": "room/pins"})
    assert (refused.status_code, refused.json()["title"]) == (404, "room/pins is not pinned")
    assert refused.json()["hint"] == "pinned are room/pins:*.safetensors"
    assert api.client.delete("/v1/hub/pins", params=wish).json() == {"pins": []}


def test_the_cache_is_evicted_but_for_what_is_pinned(api: Api, hub: LocalHub) -> None:
    hub.create_repo("room/evict", {**FILES, "other.bin": File(WEIGHTS[:-1], lfs=True)})
    api.ended(api.post("/v1/hub/download", {"repo": "room/evict"})["jobs"][0]["id"])
    pin = {"repo": "room/evict", "pattern": "model*"}
    api.post("/v1/hub/pins", pin, status=200)
    before = api.get("/v1/hub/status")["cache"]
    assert before["taken"] >= 2 * len(WEIGHTS) - 1
    assert before["pinned"] >= len(WEIGHTS)
    job = api.ended(api.post("/v1/hub/evict", {"to": 0})["id"])
    assert (job["kind"], job["state"]) == ("evict", "completed")
    assert "room/evict/other.bin" in [each["name"] for each in job["result"]["going"]]
    after = api.get("/v1/hub/status")["cache"]
    assert after["blobs"] == 1
    assert after["taken"] == after["pinned"] == before["pinned"]
    assert after["evicted"]["items"] == job["result"]["items"]
    samples = read(api.client.get("/metrics").text)
    assert samples["hubfs_cache_taken_bytes"] == after["taken"]
    assert samples["hubfs_evictions_total"] >= 2
    assert samples["hubfs_evicted_bytes_total"] >= len(WEIGHTS)
    gone = api.ended(api.post("/v1/hub/evict", {"repo": "room/evict", "force": True})["id"])
    assert gone["result"]["pins"] == 1
    assert api.client.get("/v1/hub/models/room/evict").status_code == 404
    assert api.get("/v1/hub/pins")["pins"] == []


def test_wishes_that_cannot_be_right_are_refused(api: Api) -> None:
    for path, body in (
        ("/v1/hub/pins", {"repo": "not a repo"}),
        ("/v1/hub/pins", {"repo": "a/b", "revision": "no..good"}),
        ("/v1/hub/pins", {"repo": "a/b", "colour": "red"}),
        ("/v1/hub/evict", {"to": -1}),
        ("/v1/hub/evict", {"repo": "not a repo"}),
    ):
        assert api.post(path, body, status=422)["title"]
