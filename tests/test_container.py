"""The image and the manifest name what is there: packages, files, commands, options, live files.

No container engine is needed: what an engine would do with them is Debian's and Docker's.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from hubfs.cli import mounting
from hubfs.cli.main import main
from hubfs.config.table import SETTINGS
from hubfs.daemon import controlling, daemon
from scripts import pinned

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "scripts/Dockerfile").read_text()
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "scripts/kubernetes.yaml").read_text())


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each on one line."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines() if line]


def all_of(kind: str) -> list[str]:
    return [text for name, text in instructions() if name == kind]


def checked(arguments: list[str]) -> dict[str, Any]:
    """What a command makes of its arguments; a wrong option raises."""
    command = main.get_command(click.Context(main), arguments[0])
    assert command is not None, arguments
    with command.make_context(arguments[0], list(arguments[1:])) as context:
        return context.params


# --- the image -------------------------------------------------------------------------


def test_its_packages_are_those_that_the_checkout_is_set_up_with() -> None:
    known = (ROOT / "scripts/setup").read_text()
    installed = [run.partition("recommends")[2].split("&&")[0] for run in all_of("RUN")]
    packages = {name for text in installed for name in text.split()}
    assert {"fuse3", "libfuse3-dev", "gcc", "ca-certificates"} <= packages
    for name in packages - {"ca-certificates"}:
        assert re.search(rf"\b{re.escape(name)}\b", known), name


def test_it_copies_files_that_are_there_and_sent() -> None:
    rules = (ROOT / "scripts/Dockerfile.dockerignore").read_text().split()
    sent = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    copied = [name for text in all_of("COPY") if "--from" not in text for name in text.split()[:-1]]
    assert "hubfs" in copied
    for name in copied:
        assert (ROOT / name).exists()
        assert any(fnmatch(name, rule) for rule in sent), name


def pins(which: str) -> set[str]:
    """The names in a part of the lock."""
    project, lock = ((ROOT / name).read_text() for name in ("pyproject.toml", "requirements.lock"))
    part = pinned.part(lock, pinned.roots_of(project, which))
    return set(re.findall(r"^([a-z0-9._-]+)==", part, re.MULTILINE))


def test_it_installs_what_hubfs_needs_and_nothing_of_the_tests() -> None:
    assert set(needed_by("hubfs")) - {"hubfs"} <= pins("runtime")
    assert pins("runtime").isdisjoint({"pytest", "numpy", "onnxruntime", "mypy"})
    assert {"cython", "hatchling"} <= pins("build")


def needed_by(name: str, above: frozenset[str] = frozenset()) -> Iterator[str]:
    """A distribution and all that it needs, as far as it is installed here."""
    try:
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:  # of another system, or another Python
        return
    yield name
    for text in requirements:
        found = re.match(r"[A-Za-z0-9._-]+", text)
        if found and "extra ==" not in text:
            key = re.sub(r"[-_.]+", "-", found[0]).lower()
            if key not in above:
                yield from needed_by(key, above | {name, key})


def test_its_command_and_health_check_are_those_of_hubfs() -> None:
    assert json.loads(all_of("ENTRYPOINT")[0]) == ["hubfs"]
    settings = checked(json.loads(all_of("CMD")[0]))
    assert settings["foreground"]
    (check,) = all_of("HEALTHCHECK")
    cat, path = json.loads(check.partition("CMD ")[2])
    assert (cat, Path(path).parent) == ("cat", settings["directory"] / ".hubfs")
    assert Path(path).name in controlling.LIVE_FILES
    variables = {word.partition("=")[0] for word in shlex.split(all_of("ENV")[0])}
    assert variables - {"PATH", "HOME", "PYTHONUNBUFFERED"} <= {
        each.variable for each in SETTINGS.values()
    }


# --- the manifest ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def container() -> dict[str, Any]:
    (found,) = MANIFEST["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.fixture(scope="module")
def settings(container: dict[str, Any]) -> dict[str, Any]:
    """What `hubfs mount` makes of the manifest's arguments."""
    shell, flag, script, name = container["command"]
    assert (shell, flag, name) == ("/bin/sh", "-c", "hubfs")
    assert script.endswith('exec hubfs "$@"'), "signals reach hubfs"
    assert container["args"][0] == "mount"
    return checked(container["args"])


def mounted_at(container: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """The mount of the container that holds `path`, with its volume."""
    volumes = {each["name"]: each for each in MANIFEST["spec"]["template"]["spec"]["volumes"]}
    mounts = container["volumeMounts"]
    (found,) = (each for each in mounts if Path(path).is_relative_to(each["mountPath"]))
    return {**volumes[found["name"]], **found}


def test_pods_see_the_mount_and_it_outlives_the_container(
    container: dict[str, Any], settings: dict[str, Any]
) -> None:
    place = mounted_at(container, settings["directory"])
    assert place["mountPropagation"] == "Bidirectional"
    assert container["securityContext"]["privileged"], "which Kubernetes asks for with it"
    # Below the volume, not the volume: a node could not give a dead mount to a new container.
    assert settings["directory"] != Path(place["mountPath"])
    assert settings["allow_other"]
    assert settings["foreground"]


def test_the_cache_and_the_device_are_the_nodes(
    container: dict[str, Any], settings: dict[str, Any]
) -> None:
    for path in (settings["cache_dir"], "/dev/fuse"):
        assert "hostPath" in mounted_at(container, path)
    for path in ("/run", "/tmp"):
        assert "emptyDir" in mounted_at(container, path), "where a read-only root has no room"


def test_the_token_comes_from_a_secret(container: dict[str, Any]) -> None:
    (variable,) = container["env"]
    assert variable["name"] == "HF_TOKEN"
    assert variable["valueFrom"]["secretKeyRef"]["optional"]


def test_probes_and_the_end_go_through_the_mount(
    container: dict[str, Any], settings: dict[str, Any]
) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        cat, path = container[probe]["exec"]["command"]
        assert (cat, Path(path).parent) == ("cat", settings["directory"] / ".hubfs")
        assert Path(path).name in controlling.LIVE_FILES
    program, *arguments = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "hubfs"
    assert checked(arguments)["directory"] == settings["directory"]
    grace = MANIFEST["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    longest = daemon.GRACE + daemon.LONGEST_STOP + daemon.LONGEST_UNMOUNT
    assert grace > longest + mounting.LONGEST_STOP
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]


def test_the_selector_selects_its_own_pods() -> None:
    spec = MANIFEST["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
