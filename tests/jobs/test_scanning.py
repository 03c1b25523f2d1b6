"""Scans of folders, on a real engine: what is adopted, what is told, what is not read twice."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from pathlib import Path

import trio

from hubfs.control.roles import Role
from hubfs.daemon.engine import Engine
from hubfs.jobs.queue import Wanted
from hubfs.jobs.states import JobKind
from hubfs.store.records import JobRecord
from tests.jobs.rig import download, ended, engine, sync
from tests.localhub import LocalHub
from tests.store.elsewhere import Untouched, write, write_in_place

WEIGHTS = random.Random(1).randbytes(300_000)
QUANTS = random.Random(2).randbytes(200_000)
PHOTO = random.Random(3).randbytes(50_000)


def scan(path: Path, **options: bool) -> Wanted:
    return Wanted(JobKind.SCAN, {"path": str(path), "copy": False, "all": False} | options)


async def scanned(running: Engine, path: Path, **options: bool) -> JobRecord:
    job = await running.jobs.submit(scan(path, **options))
    return await ended(running.jobs, job.id)


def counts(job: JobRecord) -> dict[str, int]:
    fates = ("adopted", "known", "unknown", "skipped", "failed")
    return {fate: job.result[fate]["files"] for fate in fates if job.result[fate]["files"]}


def lm_studio(root: Path) -> Path:
    """A folder as LM Studio has it, with what people keep beside it."""
    write(
        root,
        {
            "bartowski/Some-GGUF/Some-Q4_K_M.gguf": QUANTS,
            "bartowski/Some-GGUF/mmproj.gguf.part": QUANTS[:100],
            "other/Copy-GGUF/again.gguf": QUANTS,
            "photo.jpg": PHOTO,
            "README.md": b"# known to a repo",
            "empty.gguf": b"",
            ".git/objects/model.gguf": b"not looked at",
        },
    )
    (root / "linked.gguf").symlink_to("bartowski/Some-GGUF/Some-Q4_K_M.gguf")
    (root / "loop").symlink_to(".")
    (root / "nowhere.gguf").symlink_to("absent")
    os.link(root / "photo.jpg", root / "weights.safetensors")
    return root


async def test_a_folder_of_models_is_adopted_by_what_it_holds(
    hub: LocalHub, tmp_path: Path
) -> None:
    """Of whatever name; what no repo knows, and is no model, is left alone."""
    root = lm_studio(tmp_path / "models")
    hub.create_repo("acme/gguf", {"Q4.gguf": QUANTS, "README.md": b"# known to a repo"})
    with Untouched(root):
        async with engine(hub, tmp_path / "cache") as running:
            await ended(running.jobs, (await running.jobs.submit(sync("acme/gguf", 0))).id)
            job = await scanned(running, root)
            assert job.state == "completed", job.error
            # The two names of one file, and the link to another, count once.
            assert counts(job) == {"adopted": 3, "known": 1, "skipped": 3}
            assert running.store.blobs.usage() == (3, len(QUANTS) + len(PHOTO) + 17)
            brought = await running.jobs.submit(download("acme/gguf"))
            assert (await ended(running.jobs, brought.id)).state == "completed"
            assert hub.log.content_bytes() == 0
            again = await scanned(running, root)
            assert counts(again) == {"known": 4, "skipped": 3}


async def test_what_ollama_names_by_its_hash_is_found(hub: LocalHub, tmp_path: Path) -> None:
    """Weights are called `sha256-<hash>` there, with more behind it until they are whole."""
    name = f"blobs/sha256-{hashlib.sha256(QUANTS).hexdigest()}"
    manifest = "manifests/registry.ollama.ai/library/some/latest"
    unfinished = {f"{name}-partial": PHOTO, f"{name}-partial-0": b"{}"}
    root = write(tmp_path / "ollama", {name: QUANTS, manifest: b"{}", **unfinished})
    hub.create_repo("acme/gguf", {"Q4.gguf": QUANTS})
    with Untouched(root):
        async with engine(hub, tmp_path / "cache") as running:
            found = counts(await scanned(running, root))
            assert found == {"adopted": 1, "unknown": 1, "skipped": 2}
            brought = await running.jobs.submit(download("acme/gguf"))
            assert (await ended(running.jobs, brought.id)).state == "completed"
            assert hub.log.content_bytes() == 0


async def test_what_is_no_model_is_adopted_when_asked_for(hub: LocalHub, tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a/train.parquet": PHOTO, "b.csv": b"1,2"})
    async with engine(hub, tmp_path / "cache") as running:
        assert counts(await scanned(running, root)) == {"unknown": 2}
        assert counts(await scanned(running, root, all=True)) == {"adopted": 2}


async def test_copies_share_nothing_with_the_folder(hub: LocalHub, tmp_path: Path) -> None:
    root = write(tmp_path / "models", {"model.safetensors": WEIGHTS})
    async with engine(hub, tmp_path / "cache") as running:
        job = await scanned(running, root, copy=True)
        assert counts(job) == {"adopted": 1}
        (blob,) = (tmp_path / "cache/blobs/sha256").glob("*/*")
        assert blob.stat().st_nlink == 1
        assert stat.S_IMODE(blob.stat().st_mode) == 0o444
        (root / "model.safetensors").write_bytes(b"changed")
        assert blob.read_bytes() == WEIGHTS


async def test_another_file_system_is_copied_from_when_asked_for(
    hub: LocalHub, tmp_path: Path, other_disk: Path
) -> None:
    root = write(other_disk / "models", {"model.safetensors": WEIGHTS, "b.gguf": QUANTS})
    async with engine(hub, tmp_path / "cache") as running:
        job = await scanned(running, root)
        assert (job.state, counts(job)) == ("failed", {"failed": 2})
        assert job.failures[str(root / "b.gguf")] == "it is on another file system than the cache"
        assert "--copy" in job.hint
        assert counts(await scanned(running, root, copy=True)) == {"adopted": 2}
        assert not list((tmp_path / "cache/partial").iterdir())


async def test_what_cannot_be_read_is_named_and_the_rest_adopted(
    hub: LocalHub, tmp_path: Path
) -> None:
    root = write(tmp_path / "models", {"good.gguf": QUANTS})
    os.mkfifo(root / "pipe.gguf")
    async with engine(hub, tmp_path / "cache") as running:
        missing = await scanned(running, root / "absent")
        assert (missing.state, missing.error) == ("failed", f"there is no {root / 'absent'}")
        assert counts(await scanned(running, root)) == {"adopted": 1, "skipped": 1}
        # The cache itself is no place to find anything.
        assert counts(await scanned(running, tmp_path)) == {"known": 1, "skipped": 1}


async def test_a_scan_that_is_broken_off_reads_nothing_twice(hub: LocalHub, tmp_path: Path) -> None:
    files = {f"{at:02}.gguf": random.Random(at).randbytes(2 << 20) for at in range(40)}
    root, cache = write(tmp_path / "models", files), tmp_path / "cache"
    async with engine(hub, cache) as running:
        job = await running.jobs.submit(scan(root))
        with trio.fail_after(60):
            while running.jobs.find(job.id).files < 4:
                await trio.lowlevel.checkpoint()
    read = {path.name for path in (cache / "blobs/sha256").glob("*/*")}
    assert 4 <= len(read) < len(files)
    for path in root.iterdir():
        if hashlib.sha256(path.read_bytes()).hexdigest() in read:
            write_in_place(path, b"who reads it again finds something else")
    async with engine(hub, cache, role=Role.COMMAND) as running:
        again = await running.jobs.submit(scan(root))
        assert again.id == job.id
        done = await ended(running.jobs, job.id)
    assert counts(done) == {"adopted": len(files)}
    assert sum(done.result["hows"].values()) == len(files)
