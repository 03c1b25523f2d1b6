"""What Prometheus is told, read back by its own parser."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from hubfs.counters import BOUNDS
from tests.control.rig import Api
from tests.localhub import LocalHub


def read(text: str) -> dict[str, float]:
    """All samples, by name and labels as they are written.

    Each family is declared once, and has its help and its kind.
    """
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    assert all(family.documentation and family.type != "unknown" for family in families)
    samples: list[Sample] = [sample for family in families for sample in family.samples]
    found = {named(each.name, each.labels): float(each.value) for each in samples}
    assert len(found) == len(samples)
    return found


def named(name: str, labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}" if inner else name


def test_metrics_count_what_happens(api: Api, hub: LocalHub) -> None:
    before = read(api.client.get("/metrics").text)
    hub.create_repo("metrics/model", {"config.json": b"{}", "model.bin": b"m" * 100_000})
    api.ended(api.post("/v1/hub/download", {"repo": "metrics/model"})["jobs"][0]["id"])
    after = read(api.client.get("/metrics").text)

    def grown(name: str, **labels: str) -> float:
        key = named(f"hubfs_{name}", labels)
        return after[key] - before.get(key, 0)

    assert grown("downloaded_bytes_total") == 100_002
    assert grown("jobs_ended_total", kind="download", state="completed") == 1
    for kind in ("info", "tree"):
        assert grown("hub_requests_total", of=kind, status="200") >= 1
        assert grown("hub_answer_seconds_count", of=kind) >= 1
    assert grown("hub_requests_total", of="resolve", status="302") >= 1 or (
        grown("hub_requests_total", of="resolve", status="200") >= 1
    )
    assert grown("read_bytes_total") == 0  # a job is no reader
    assert after["hubfs_transfers"] == 0
    assert after["hubfs_readers_waiting"] == 0
    assert grown("cache_blobs") + grown("repos") >= 1


def test_buckets_of_a_histogram_add_up(api: Api, hub: LocalHub) -> None:
    hub.create_repo("metrics/other", {"config.json": b"{}"})
    api.ended(api.post("/v1/hub/sync", {"repo": "metrics/other"})["id"])
    samples = read(api.client.get("/metrics").text)
    base = "hubfs_hub_answer_seconds"
    for of in ("info", "tree", "resolve"):
        bounds = [str(bound) for bound in (*BOUNDS, "+Inf")]
        buckets = [samples[named(f"{base}_bucket", {"le": le, "of": of})] for le in bounds]
        assert buckets == sorted(buckets)
        assert buckets[-1] == samples[named(f"{base}_count", {"of": of})] > 0
