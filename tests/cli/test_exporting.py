"""`hubfs export`: a repo as a plain folder, with a daemon and without one."""

from __future__ import annotations

from pathlib import Path

from tests.cli.shell import FILES, WEIGHTS, Shell
from tests.localhub import LocalHub


def files_in(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_repo_becomes_a_plain_folder_and_nothing_is_fetched_twice(
    shell: Shell, hub: LocalHub, tmp_path: Path
) -> None:
    folder = tmp_path / "plain"
    some = shell.json("export", "acme/model", str(folder), "--include", "*.json")
    assert (some["files"], some["failures"]) == (1, {})
    assert files_in(folder) == {"config.json": FILES["config.json"]}
    said = shell.run("export", "acme/model", str(folder))
    assert "4 files" in said
    assert "1 there already" in said
    assert files_in(folder) == FILES
    assert hub.log.content_bytes() == sum(len(data) for data in {*FILES.values()})
    assert "is in the cache itself" in shell.run("export", "acme/model", str(shell.cache), code=2)
    assert "either --link or --copy" in shell.run(
        "export", "acme/model", str(folder), "--link", "--copy", code=2
    )


def test_an_export_that_comes_to_nothing_leaves_no_folder(
    shell: Shell, hub: LocalHub, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    assert "no such repo" in shell.run("export", "acme/none", str(folder), code=1)
    assert "no file" in shell.run("export", "acme/model", str(folder), "--include", "*.zz", code=1)
    assert not folder.exists()
    folder.mkdir()
    shell.run("export", "acme/none", str(folder), code=1)
    assert folder.exists()  # it was there before
    (tmp_path / "file").touch()
    said = shell.run("export", "acme/model", str(tmp_path / "file"), code=2)
    assert f"{tmp_path / 'file'} is a file" in said


def test_a_daemon_fetches_what_is_exported_and_what_differs_is_named(
    shell: Shell, hub: LocalHub, tmp_path: Path
) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"my own")
    with shell.daemon():
        said = shell.run("export", "acme/model", str(folder), "--link", code=1)
        assert "config.json: there is another file of that name" in said
        assert "--force" in said
        assert (folder / "config.json").read_bytes() == b"my own"
        weights = folder / "model-fp16.safetensors"
        assert weights.samefile(folder / "copy/model-fp16.safetensors")
        assert weights.read_bytes() == WEIGHTS
        shell.run("export", "acme/model", str(folder), "--link", "--force")
        assert files_in(folder) == FILES


def test_what_an_export_sums_up_counts_no_file_that_is_not_there(
    shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"my own")
    said = shell.run("export", "acme/model", str(folder), "--include", "config.json", code=1)
    assert "export  acme/model  failed  0/1 files, 0 B of 22 B" in said
    assert ": 0 files, 0 B in " in said
    assert "(1 not written)" in said
    assert "export  acme/model  completed" not in said
    both = ("--include", "config.json", "--include", "*.gguf")
    said = shell.run("export", "acme/model", str(folder), *both, code=1)
    assert "export  acme/model  failed  1/2 files" in said
    told = shell.json("export", "acme/model", str(folder), *both, code=1)
    assert (told["files"], [*told["failures"]]) == (1, ["config.json"])
