"""One small repo, and short ways to ask for it, shared by the tests of the routes."""

from tests.localhub import LocalHub
from tests.localhub.asking import Answer, ask

CONFIG = b'{"model_type": "bert"}'
WEIGHTS = bytes(range(256)) * 100
TOKEN = {"Authorization": "Bearer hf_test"}
STRANGE = "sub/a b#50%+ü?.txt"


def create_tiny(hub: LocalHub) -> None:
    """Create acme/tiny: plain, large, empty and strangely named files."""
    files = {"config.json": CONFIG, "model.safetensors": WEIGHTS, STRANGE: b"strange", "empty": b""}
    hub.create_repo("acme/tiny", files)


def commit_of(hub: LocalHub, repo_id: str = "acme/tiny") -> str:
    return hub.repo(repo_id).head.oid


def api(hub: LocalHub, path: str, headers: dict[str, str] | None = None) -> Answer:
    return ask(f"{hub.endpoint}/api/models/{path}", headers=headers)
