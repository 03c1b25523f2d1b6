import subprocess
from pathlib import Path

from tests.localhub.catalog import Catalog
from tests.localhub.gitobjects import blob_oid, blob_oid_of_file, pointer_text

FILES = {
    "README.md": b"hello\n",
    "a.txt": b"a",
    "a/inner.txt": b"b",
    "a-b/x": b"",
    "deep/er/still/file with space.txt": "é".encode(),
}


def git(directory: Path, *words: str, given: bytes = b"") -> str:
    environment = {"GIT_AUTHOR_DATE": "1767323105 +0000", "GIT_COMMITTER_DATE": "1767323105 +0000"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "acme", f"GIT_{role}_EMAIL": "acme@localhub.invalid"}
    done = subprocess.run(
        ["/usr/bin/env", "git", *words],
        cwd=directory,
        input=given,
        capture_output=True,
        check=True,
        env={"HOME": str(directory), **environment},
    )
    return done.stdout.decode().strip()


def test_a_pointer_has_the_id_that_the_real_hub_shows() -> None:
    """The values of bert-base-uncased, from the specs of huggingface.js."""
    pointer = pointer_text(
        "097417381d6c7230bd9e3557456d726de6e83245ec8b24f529f60198a67b203a", 440473133
    )

    assert len(pointer) == 134
    assert blob_oid(pointer) == "ba5d19791be1dd7992e33bd61f20207b0f7f50a5"


def test_a_file_has_the_id_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)

    assert blob_oid_of_file(tmp_path / "file") == blob_oid(b"x" * 3_000_000)


def test_git_gives_blobs_trees_and_commits_the_same_ids(tmp_path: Path) -> None:
    catalog = Catalog()
    oid = catalog.create_repo("acme/tiny", FILES)
    commit = catalog.repo("acme/tiny").resolve(oid)
    for path, data in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "initial commit")

    listing = git(tmp_path, "ls-tree", "-r", "-t", "-z", "HEAD").split("\0")
    found = {line.partition("\t")[2]: line.split()[2] for line in listing if line}

    shown = {path: content.oid for path, content in commit.tree.files.items()}
    shown |= {path: tree for path, tree in commit.tree.directories.items() if path}
    assert shown == found
    assert git(tmp_path, "rev-parse", "HEAD^{tree}") == commit.tree.oid
    assert git(tmp_path, "rev-parse", "HEAD") == commit.oid
