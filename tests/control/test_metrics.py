"""What Prometheus is told, read back by the rules of its text format."""

from __future__ import annotations

import re

from tests.control.rig import Api
from tests.localhub import LocalHub

SAMPLE = re.compile(
    r'([a-z_]+)(\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})? (\d+(?:\.\d+)?(?:e-?\d+)?)'
)
KINDS = {"gauge", "counter", "histogram"}


def read(text: str) -> dict[str, float]:
    """The samples, after checking that each belongs to a metric that was declared just above."""
    assert text.endswith("\n")
    samples: dict[str, float] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
        elif line.startswith("# TYPE "):
            assert line.split()[2:] == [name, line.split()[3]]
            assert line.split()[3] in KINDS
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] in {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"}
            assert found[1] + (found[2] or "") not in samples
            samples[found[1] + (found[2] or "")] = float(found[3])
    return samples


def test_metrics_count_what_happens(api: Api, hub: LocalHub) -> None:
    before = read(api.client.get("/metrics").text)
    hub.create_repo("metrics/model", {"config.json": b"{}", "model.bin": b"m" * 100_000})
    api.ended(api.post("/v1/hub/download", {"repo": "metrics/model"})["jobs"][0]["id"])
    after = read(api.client.get("/metrics").text)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("hubfs_downloaded_bytes_total") == 100_002
    assert grown('hubfs_jobs_ended_total{kind="download",state="completed"}') == 1
    assert grown('hubfs_hub_requests_total{of="metadata",status="200"}') >= 2
    buckets = [after[name] for name in after if name.startswith("hubfs_read_wait_seconds_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == after["hubfs_read_wait_seconds_count"]
