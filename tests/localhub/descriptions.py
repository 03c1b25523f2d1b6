"""The JSON by which the Hub describes repos, commits and files. Pure but for reading headers."""

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from tests.localhub.content import Content, Kind
from tests.localhub.repository import Commit, Repository
from tests.localhub.wire import Part, read_parts

Json = dict[str, Any]

_SAFE: Json = {"status": "safe", "avScan": {"status": "safe"}, "pickleImportScan": None}


def iso(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def describe_repo(repo: Repository, commit: Commit, *, blobs: bool = False) -> Json:
    """Return the repo info at a commit; `blobs` adds sizes and ids to siblings."""
    files = commit.tree.files
    return {
        **_identity(repo),
        "author": repo.author,
        "sha": commit.oid,
        "lastModified": iso(commit.date),
        "createdAt": iso(repo.created),
        "private": repo.private,
        "gated": repo.gated or False,
        "disabled": repo.disabled,
        "downloads": 0,
        "likes": 0,
        "tags": _tags(commit),
        "usedStorage": sum(content.size for content in files.values()),
        "siblings": [_sibling(path, files[path], blobs=blobs) for path in sorted(files)],
        **_particulars(repo.kind, repo.id, commit),
        **repo.card,
    }


def narrowed(info: Json, wanted: Iterable[str]) -> Json:
    """Return of a repo info what `expand` asks for; ids are always there."""
    return {key: info[key] for key in ("_id", "id", *wanted) if key in info}


def describe_in_list(repo: Repository, *, full: bool, wanted: list[str] | None) -> Json:
    """Return a repo as lists of repos show it."""
    info = describe_repo(repo, repo.head)
    if wanted:
        return narrowed(info, wanted)
    hidden = {"config", "safetensors", "usedStorage", "disabled"}
    hidden |= set() if full else {"siblings", "sha", "author", "lastModified", "gated"}
    return {key: value for key, value in info.items() if key not in hidden}


def describe_file(path: str, content: Content, *, xet: bool) -> Json:
    """Return a file as tree listings show it."""
    entry: Json = {"type": "file", "oid": content.oid, "size": content.size, "path": path}
    if content.sha256:
        entry["lfs"] = {
            "oid": content.sha256,
            "size": content.size,
            "pointerSize": len(content.pointer),
        }
        if xet:
            entry["xetHash"] = content.xet_hash
    return entry


def describe_entry(repo: Repository, commit: Commit, path: str, *, expand: bool, xet: bool) -> Json:
    """Return a file or directory as tree listings show it."""
    content = commit.tree.files.get(path)
    if content is None:
        oid = commit.tree.directories[path]
        entry: Json = {"type": "directory", "oid": oid, "size": 0, "path": path}
    else:
        entry = describe_file(path, content, xet=xet)
    if expand:
        entry["lastCommit"] = _last_commit(repo, commit, path)
        if content is not None:
            entry["securityFileStatus"] = dict(_SAFE)
    return entry


def describe_commit(commit: Commit) -> Json:
    return {
        "id": commit.oid,
        "title": commit.title,
        "message": "",
        "authors": [{"user": commit.author, "avatar": "/avatars/none.svg"}],
        "date": iso(commit.date),
    }


def describe_refs(repo: Repository, *, with_pull_requests: bool) -> Json:
    """Return all refs by their sort."""
    refs: Json = {
        "branches": _refs_below(repo, "refs/heads/"),
        "converts": _refs_below(repo, "refs/convert/"),
        "tags": _refs_below(repo, "refs/tags/"),
    }
    if with_pull_requests:
        refs["pullRequests"] = _refs_below(repo, "refs/pr/", short=False)
    return refs


def _identity(repo: Repository) -> Json:
    digest = hashlib.sha1(f"{repo.kind}:{repo.id}".encode(), usedforsecurity=False).hexdigest()
    extra = {"modelId": repo.id} if repo.kind == "model" else {}
    return {"_id": digest[:24], "id": repo.id, **extra}


def _sibling(path: str, content: Content, *, blobs: bool) -> Json:
    sibling: Json = {"rfilename": path}
    if blobs:
        sibling |= {"size": content.size, "blobId": content.oid}
        if content.sha256:
            lfs = describe_file(path, content, xet=False)["lfs"]
            sibling["lfs"] = {"sha256": lfs.pop("oid"), **lfs}
    return sibling


def _refs_below(repo: Repository, prefix: str, *, short: bool = True) -> list[Json]:
    return [
        {"name": ref.removeprefix(prefix) if short else ref, "ref": ref, "targetCommit": oid}
        for ref, oid in sorted(repo.refs.items())
        if ref.startswith(prefix)
    ]


def _last_commit(repo: Repository, commit: Commit, path: str) -> Json:
    newest = max((repo.commits[oid] for oid in _touching(commit, path)), key=lambda one: one.date)
    return {"id": newest.oid, "title": newest.title, "date": iso(newest.date)}


def _touching(commit: Commit, path: str) -> set[str]:
    if path in commit.tree.files:
        return {commit.touched[path]}
    # What was deleted below a directory has changed it too.
    below = path + "/"
    return {oid for name, oid in commit.touched.items() if name.startswith(below)}


def _tags(commit: Commit) -> list[str]:
    suffixes = {path.rpartition(".")[2] for path in commit.tree.files}
    return sorted(suffixes & {"safetensors", "gguf", "onnx", "tflite"})


@lru_cache(maxsize=10_000)
def _particulars(kind: Kind, repo_id: str, commit: Commit) -> Json:
    """Return the fields that only one kind of repo has; reads files, so is remembered."""
    if kind == "dataset":
        return {"description": "", "citation": None}
    if kind == "space":
        subdomain = repo_id.replace("/", "-").lower()
        return {"sdk": "static", "runtime": {"stage": "RUNNING"}, "subdomain": subdomain}
    found = {"config": _config(commit), "safetensors": _safetensors(commit)}
    return {key: value for key, value in found.items() if value}


def _config(commit: Commit) -> Json:
    content = commit.tree.files.get("config.json")
    if content is None:
        return {}
    try:
        config = json.loads(_start_of(content, content.size))
    except ValueError:
        return {}
    wanted = ("model_type", "architectures", "quantization_config")
    return {key: config[key] for key in wanted if isinstance(config, dict) and key in config}


def _safetensors(commit: Commit) -> Json:
    counts: Counter[str] = Counter()
    for path, content in commit.tree.files.items():
        if path.endswith(".safetensors"):
            counts += _parameters(content)
    return {"parameters": dict(counts), "total": counts.total()} if counts else {}


def _parameters(content: Content) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, tensor in _safetensors_header(content).items():
        if name != "__metadata__":
            size = 1
            for extent in tensor["shape"]:
                size *= extent
            counts[tensor["dtype"]] += size
    return counts


def _safetensors_header(content: Content) -> Json:
    # Tests push nonsense under this suffix; the Hub shows no counts for such files.
    try:
        (length,) = struct.unpack("<Q", _start_of(content, 8))
        header = json.loads(_start_of(content, 8 + length)[8:]) if length < 1 << 25 else {}
    except (ValueError, struct.error):
        return {}
    return header if isinstance(header, dict) else {}


def _start_of(content: Content, length: int) -> bytes:
    return read_parts((Part(content.source, 0, min(length, content.size)),))
