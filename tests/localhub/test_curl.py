"""curl against the local Hub: redirects, ranges, resumption, over both schemes."""

import subprocess
from pathlib import Path

import pytest

from tests.localhub import Fault, LocalHub
from tests.localhub.samples import CONFIG, WEIGHTS


def curl(hub: LocalHub, *words: str) -> "subprocess.CompletedProcess[bytes]":
    trust = ["--cacert", str(hub.ca_file)] if hub.ca_file else []
    command = ["curl", "--silent", "--show-error", "--location", *trust, *words]
    return subprocess.run(command, capture_output=True, check=False, timeout=30)


def url_of(hub: LocalHub, name: str) -> str:
    return f"{hub.endpoint}/acme/tiny/resolve/main/{name}"


@pytest.mark.parametrize(
    ("name", "data"), [("config.json", CONFIG), ("model.safetensors", WEIGHTS)]
)
def test_files_and_ranges(either_hub: LocalHub, name: str, data: bytes) -> None:
    url = url_of(either_hub, name)

    assert curl(either_hub, url).stdout == data
    assert curl(either_hub, "--range", "5-14", url).stdout == data[5:15]
    assert curl(either_hub, "--range", "-7", url).stdout == data[-7:]
    assert curl(either_hub, "--fail", "--range", "99999999-", url).returncode == 22


def test_a_token_stays_with_the_hub(either_hub: LocalHub) -> None:
    header = ["--header", "Authorization: Bearer hf_test"]

    # curl drops the header where the port differs; a client that kept it would see 400.
    assert curl(either_hub, *header, url_of(either_hub, "model.safetensors")).stdout == WEIGHTS
    authorizations = {record.origin: record.authorization for record in either_hub.log}
    assert authorizations == {"hub": "Bearer hf_test", "cdn": None}


def test_heads_of_all_hops(either_hub: LocalHub) -> None:
    heads = curl(either_hub, "--head", url_of(either_hub, "config.json")).stdout.decode()

    assert [line.split()[1] for line in heads.splitlines() if "HTTP/" in line] == ["307", "200"]
    assert heads.count("X-Repo-Commit: ") == 2
    assert f"Content-Length: {len(CONFIG)}" in heads


def test_compressed_text_is_understood(either_hub: LocalHub) -> None:
    text = b"compressible\n" * 1000
    either_hub.push("acme/tiny", {"long.txt": text})

    assert curl(either_hub, "--compressed", url_of(either_hub, "long.txt")).stdout == text
    assert either_hub.log.content_bytes("long.txt") < len(text)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("reset_after", at=5000), 56),  # failure in receiving
        (Fault("short_body", at=5000), 18),  # partial file
        (Fault("close_before_answer", origin="cdn"), 52),  # empty reply
        (Fault("redirect_loop", times=None), 47),  # too many redirects
        (Fault("status", status=503), 22),
    ],
)
def test_faults_are_seen_as_what_they_are(hub: LocalHub, fault: Fault, code: int) -> None:
    hub.faults.add(fault)

    assert curl(hub, "--fail", url_of(hub, "model.safetensors")).returncode == code


def test_an_interrupted_download_is_resumed(either_hub: LocalHub, tmp_path: Path) -> None:
    either_hub.faults.add(Fault("reset_after", at=5000))
    words = ["--output", str(tmp_path / "file"), url_of(either_hub, "model.safetensors")]

    assert curl(either_hub, *words).returncode == 56
    assert curl(either_hub, "--continue-at", "-", *words).returncode == 0

    assert (tmp_path / "file").read_bytes() == WEIGHTS
    assert either_hub.log.requests(origin="cdn")[-1].range == "bytes=5000-"
    assert either_hub.log.content_bytes() == len(WEIGHTS)
