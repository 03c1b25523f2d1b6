"""What the API takes and gives. Sizes in bytes, times in ISO 8601, rates in bytes per second."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hubfs.control.roles import Role
from hubfs.jobs.selection import EAGER_SIZE
from hubfs.jobs.states import JobKind, JobState

MOST_PATTERNS = 100

RepoName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        description="`org/name`, `datasets/org/name` or `spaces/org/name`.",
        examples=["Qwen/Qwen3-0.6B", "datasets/stanfordnlp/imdb"],
    ),
]
Revision = Annotated[
    str,
    Field(
        max_length=200,
        description="A branch, tag or commit; empty for the default branch.",
        examples=["", "main", "refs/pr/1"],
    ),
]
Pattern = Annotated[str, Field(min_length=1, max_length=1024)]
Patterns = Annotated[list[Pattern], Field(max_length=MOST_PATTERNS, examples=[["*.safetensors"]])]
Awaited = Annotated[
    bool,
    Field(description="Somebody waits for it: without a connection to the Hub, it fails soon."),
]
Background = Annotated[
    bool,
    Field(
        description="Nobody looks on: where no daemon answers, but a command, "
        "what that leaves undone goes on in one that is started then."
    ),
]
Webhook = Annotated[
    str,
    Field(max_length=2048, description="An http or https address to tell when the job has ended."),
]


class Question(BaseModel):
    """What is not known is refused, so that a misspelt field does not pass for its default."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RegisterRequest(Question):
    """Make a repo known."""

    repo: RepoName
    revision: Revision = ""
    auto_sync: bool = Field(default=True, description="Sync it as well, in the background.")
    awaited: Awaited = False
    webhook: Webhook = ""


class SyncRequest(Question):
    """Bring metadata up to date: one repo's, or with `all` that of every known one."""

    repo: RepoName | None = None
    all: bool = False
    revision: Revision = ""
    eager_size: int = Field(
        EAGER_SIZE, ge=0, le=1 << 40, description="Metadata files below this size are fetched."
    )
    awaited: Awaited = False
    webhook: Webhook = ""


class DownloadItem(Question):
    """Files of one repo."""

    repo: RepoName
    revision: Revision = ""
    include: Patterns = Field(default_factory=list, description="Globs; none means all files.")
    exclude: Patterns = Field(default_factory=list, description="Globs; they win over `include`.")


class DownloadRequest(DownloadItem):
    """Files of a repo; `also` names more repos for the same batch."""

    also: list[DownloadItem] = Field(default_factory=list, max_length=100)
    background: Background = False
    webhook: Webhook = ""

    @property
    def items(self) -> list[DownloadItem]:
        """All that is asked for."""
        return [self, *self.also]


class VerifyRequest(Question):
    """Look whether what is here is what it should be: of one repo, or without `repo` of all."""

    repo: RepoName | None = None
    revision: Revision = ""
    repair: bool = Field(default=False, description="Fetch again at once what was lost.")
    threads: int = Field(4, ge=1, le=64, description="How many blobs to look at at once.")
    webhook: Webhook = ""


class Progress(BaseModel):
    """How far a job is. `eta` is in seconds; null while nobody can tell."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int
    rate: float
    eta: float | None


class Job(BaseModel):
    """A job, without its log."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 17,
                    "batch": 17,
                    "kind": "download",
                    "state": "running",
                    "arguments": {
                        "repo": "Qwen/Qwen3-0.6B",
                        "revision": "",
                        "include": ["*.safetensors"],
                        "exclude": [],
                    },
                    "created_at": "2026-01-02T03:04:05Z",
                    "started_at": "2026-01-02T03:04:05Z",
                    "ended_at": None,
                    "next_attempt_at": None,
                    "background": False,
                    "parked": False,
                    "attempts": 1,
                    "progress": {
                        "files": 0,
                        "files_total": 1,
                        "bytes": 734003200,
                        "bytes_total": 1503300328,
                        "rate": 104857600.0,
                        "eta": 7.3,
                    },
                    "failed": 0,
                    "failures": {},
                    "error": "",
                    "hint": "",
                    "result": {"repo": "Qwen/Qwen3-0.6B", "commit": "c1899de289a04d12100db370d"},
                }
            ]
        }
    )

    id: int
    batch: int
    kind: JobKind
    state: JobState
    arguments: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    next_attempt_at: datetime | None
    background: bool = Field(description="It goes on though the command ends that wanted it.")
    parked: bool = Field(description="Left by an earlier process; waits to be asked for again.")
    attempts: int
    progress: Progress
    failed: int = Field(description="How many files failed in the last attempt.")
    failures: dict[str, str] = Field(description="The first of them, each with its reason.")
    error: str
    hint: str
    result: dict[str, Any]


class Line(BaseModel):
    """A line of a job's log."""

    number: int
    at: datetime
    level: str
    text: str


class JobDetail(Job):
    """A job with its log."""

    logs: list[Line]


class Jobs(BaseModel):
    """A page of jobs, newest first; `next` is the `before` of the next page."""

    jobs: list[Job]
    next: int | None


class Batch(BaseModel):
    """Jobs that were asked for together."""

    batch: int
    jobs: list[Job]


class Lines(BaseModel):
    """Lines of a job's log, oldest first; `next` is the `after` of what will follow."""

    lines: list[Line]
    next: int


Standing = Literal["registered", "syncing", "synced", "stale", "failed"]


class Model(BaseModel):
    """A known repo. `cached` counts the bytes on this node, as far as it was asked for."""

    repo: str
    status: Standing
    error: str = ""
    commit: str | None = None
    checked_at: datetime | None = None
    files: int = 0
    size: int = 0
    private: bool = False
    gated: bool = False
    cached: int | None = None


class Models(BaseModel):
    """A page of repos in name order; `next` is the `after` of the next page."""

    models: list[Model]
    next: str | None


class File(BaseModel):
    """A file of a repo, what it is by its name, and how much of it is on this node."""

    path: str
    size: int
    kind: str
    format: str
    precision: str
    sha256: str | None
    git_oid: str
    state: Literal["complete", "partial", "absent"]
    cached: int


class ModelDetail(Model):
    """A repo with a page of its files; `next` is the `after` of the next page."""

    revision: str
    listing: list[File]
    next: int | None


class Registration(BaseModel):
    """A repo that is known now, and the job that syncs it."""

    repo: str
    status: Standing
    job: Job | None


class Check(BaseModel):
    """What a download would do."""

    repo: str
    commit: str
    files: int
    size: int
    missing_files: int
    missing_size: int


class EvictRequest(Question):
    """Delete what was used longest ago; or with `repo`, forget it and what only it has."""

    to: int | None = Field(
        None, ge=0, le=1 << 62, description="What the cache may take; none: its budget."
    )
    repo: RepoName | None = None
    revision: Revision = ""
    force: bool = Field(default=False, description="Though it is pinned or open.")
    dry_run: bool = Field(default=False, description="Only say what would go.")
    webhook: Webhook = ""


class PinRequest(Question):
    """Files that shall stay here."""

    repo: RepoName
    revision: Revision = ""
    pattern: str = Field("", max_length=1024, description="A glob; empty means all files.")


class Pin(BaseModel):
    """A pin, and what it means now. What is not here is not fetched for it."""

    repo: str
    revision: str
    pattern: str
    created_at: datetime
    is_known: bool = Field(description="Whether the repo has been listed at that revision.")
    files: int
    size: int
    cached: int


class Pins(BaseModel):
    """All pins of this endpoint."""

    pins: list[Pin]


class Evicted(BaseModel):
    """What was deleted last to make room."""

    at: datetime
    items: int
    size: int


class Cache(BaseModel):
    """The cache of this node. `size` is what blobs hold, `taken` what all of it takes on disk."""

    directory: str
    blobs: int
    size: int
    partials: int = 0
    taken: int = 0
    budget: int | None = Field(None, description="The most that may be taken; null: no limit.")
    min_free: int = Field(0, description="What is left free on the disk.")
    pinned: int = 0
    tight: str = Field("", description="Why nothing new is kept, while it is so.")
    evicted: Evicted | None = None
    disk_total: int
    disk_available: int


class Trouble(BaseModel):
    """A warning or an error of the last time."""

    at: datetime
    level: str
    text: str


class Mode(BaseModel):
    """How the mount is read: by the kernel itself (`passthrough`), or through the daemon."""

    way: Literal["passthrough", "relay"]
    reason: str


class Scrub(BaseModel):
    """The pass over all complete files that is under way, or was the last; and when one ended."""

    state: Literal["running", "resting", "off"]
    files: int
    size: int
    size_total: int
    flaws: int
    began_at: datetime | None
    ended_at: datetime | None


class Status(BaseModel):
    """The daemon at a glance."""

    version: str
    pid: int
    started_at: datetime
    endpoint: str
    mountpoint: str | None
    mode: Mode | None = Field(description="Null without a mount.")
    offline: bool
    hub: str = Field(description="`reachable`, or why it is not.")
    cache: Cache
    repos: int
    jobs: dict[str, int] = Field(description="How many jobs run and wait.")
    scrub: Scrub
    troubles: list[Trouble]


class Health(BaseModel):
    """That it answers."""

    status: Literal["ok"] = "ok"
    version: str
    role: Role = Field(description="What it is there for. A `command` ends with what it does.")


class Problem(BaseModel):
    """Why a request failed, and what to do (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["there is no job 99"])
    status: int = Field(examples=[404])
    detail: str = ""
    hint: str = Field("", examples=["list them with: hubfs jobs"])
