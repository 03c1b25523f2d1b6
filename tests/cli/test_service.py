"""Units of systemd, their configuration, and the links for mount(8), below a directory."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hubfs.cli.service import HELPERS
from hubfs.cli.units import Service, stub_text, unit_text
from hubfs.config.files import parse
from hubfs.config.table import SETTINGS
from tests.cli.test_main import complaint, run

Install = Callable[..., str]


@pytest.fixture
def installed(tmp_path: Path) -> Install:
    """Install below `tmp_path`, and return what is said."""

    def install(*options: str) -> str:
        result = run("service", "install", "--system", "--root", tmp_path, *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    return install


def service(*, is_system: bool, mountpoint: str = "/models") -> Service:
    directory, python = Path(mountpoint), Path("/usr/bin/python3")
    config = Path("/etc/hubfs/config.toml")
    return Service("hubfs", directory, is_system, config, python, Path("/bin/true"))


def test_what_is_installed_is_there_and_the_rest_is_kept(
    installed: Install, tmp_path: Path
) -> None:
    said = installed("--mountpoint", "/srv/models")
    assert "systemctl enable --now hubfs" in said
    unit, config = tmp_path / "etc/systemd/system/hubfs.service", tmp_path / "etc/hubfs/config.toml"
    assert 'mount --foreground "/srv/models"\n' in unit.read_text()
    assert (tmp_path / "srv/models").is_dir()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600  # it may come to hold secrets
    for name in HELPERS:
        assert (tmp_path / "sbin" / name).readlink().name == name
    config.write_text("fill = 'never'\n")
    assert f"keep {Path('/etc/hubfs/config.toml')}" in installed("--mountpoint", "/elsewhere")
    assert '"/elsewhere"' in unit.read_text()
    result = run("service", "uninstall", "--system", "--root", tmp_path)
    assert result.exit_code == 0, result.output
    left = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert left == [config]
    assert config.read_text() == "fill = 'never'\n"
    said = complaint(run("service", "uninstall", "--system", "--root", tmp_path), 1)
    assert said.startswith("hubfs: there is no service hubfs")


def test_a_dry_run_shows_everything_and_does_nothing(installed: Install, tmp_path: Path) -> None:
    said = installed("--dry-run")
    for each in ("would make /models", "    Type=notify", "would link /sbin/mount.hubfs to "):
        assert each in said
    assert list(tmp_path.iterdir()) == []


def test_what_others_wrote_is_not_touched(tmp_path: Path) -> None:
    unit = tmp_path / "etc/systemd/system/hubfs.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    said = complaint_of_install(tmp_path)
    assert "/etc/systemd/system/hubfs.service was not written by hubfs" in said
    complaint(run("service", "uninstall", "--system", "--root", tmp_path), 1)
    assert unit.read_text() == "[Service]\n"


def complaint_of_install(root: Path, *options: str) -> str:
    result = run("service", "install", "--system", "--root", root, *options)
    assert result.exit_code in {1, 2}
    return result.stderr


def test_a_name_that_can_be_none_is_refused(tmp_path: Path) -> None:
    assert "is no name of a service" in complaint_of_install(tmp_path, "--name", "a/b")
    assert list(tmp_path.iterdir()) == []


def test_another_mount_has_its_own_configuration_and_cache_and_shares_the_links(
    installed: Install, tmp_path: Path
) -> None:
    installed("--name", "hubfs-mirror", "--mountpoint", "/mirror", "--no-link-helpers")
    unit = (tmp_path / "etc/systemd/system/hubfs-mirror.service").read_text()
    assert 'Environment="HUBFS_CONFIG=/etc/hubfs/hubfs-mirror.toml"' in unit
    assert "CacheDirectory=hubfs-mirror\n" in unit
    stub = (tmp_path / "etc/hubfs/hubfs-mirror.toml").read_text()
    assert 'cache_dir = "/var/cache/hubfs-mirror"\n' in stub
    assert not (tmp_path / "sbin").exists()
    installed()
    links = [tmp_path / "sbin" / name for name in HELPERS]
    for name in ("hubfs", "hubfs-mirror"):
        assert all(link.is_symlink() for link in links)
        assert not run(
            "service", "uninstall", "--system", "--root", tmp_path, "--name", name
        ).stderr
    assert not any(link.is_symlink() for link in links)


@pytest.mark.parametrize("is_system", [True, False])
def test_the_configuration_says_what_a_service_needs_and_shows_all_settings(
    *, is_system: bool
) -> None:
    text = stub_text(service(is_system=is_system))
    said = {name: each.text for name, each in parse(text, Path("/x")).items()}
    needed = {"cache_dir": "/var/cache/hubfs", "allow_other": "true"} if is_system else {}
    assert said == needed
    # Each line that is shown is right, and says what holds anyway.
    whole = parse(re.sub(r"(?m)^# (\w+ = )", r"\1", text), Path("/x"))
    assert whole.keys() == SETTINGS.keys()
    for name in whole.keys() - needed.keys():
        assert whole[name].value == SETTINGS[name].default_value, name


def test_a_unit_gets_no_mount_namespace() -> None:
    """In one, the mount would be there for the daemon alone."""
    isolating = ("PrivateTmp", "PrivateDevices", "Protect", "ReadOnly", "ReadWrite", "Bind", "Root")
    for is_system in (True, False):
        unit = unit_text(service(is_system=is_system))
        assert not [line for line in unit.splitlines() if line.startswith(isolating)]
    assert "NoNewPrivileges" in unit_text(service(is_system=True))
    assert not re.search(r"(?m)^(NoNewPriv|Restrict|SystemCall)", unit)  # fusermount3 is setuid


@pytest.mark.parametrize("is_system", [True, False])
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path: Path, *, is_system: bool) -> None:
    """Where there is systemd to ask; CI has it."""
    file = tmp_path / "hubfs.service"
    file.write_text(unit_text(service(is_system=is_system, mountpoint='/100% "of" $my models')))
    if shutil.which("systemd-analyze"):
        command = ["systemd-analyze", *([] if is_system else ["--user"]), "verify", str(file)]
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/", "XDG_RUNTIME_DIR": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert '"/100%% \\"of\\" $$my models"' in file.read_text()
