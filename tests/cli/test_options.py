"""What the options of `hubfs mount` are, and that README and files say the same of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubfs.cli.options import PUBLIC
from hubfs.config.declaring import Setting
from hubfs.config.kinds import FLAG
from hubfs.config.table import SETTINGS
from tests.cli.test_main import complaint, run

README = Path(__file__).parents[2] / "README.md"


def row(setting: Setting[object]) -> str:
    """The line of a setting in README's table of options."""
    metavar = setting.kind.metavar.replace("|", r"\|")
    name = setting.option if setting.kind is FLAG else f"{setting.option} {metavar}"
    also = "".join(f", `{each}`" for each in setting.variables)
    default = "" if setting.kind is FLAG else setting.default_text
    return f"| `{name}` | {setting.help.rstrip('.')}{also.replace(',', '; also', 1)} | {default} |"


def test_readme_lists_the_options_as_they_are_declared() -> None:
    table = "\n".join(["| option | meaning | default |", "|---|---|---|", *map(row, PUBLIC)])
    assert table in README.read_text(), f"README, Use: the table should be\n\n{table}\n"


def test_every_setting_is_told_of_in_readme_and_help() -> None:
    text, help_text = README.read_text(), run("mount", "--help").output
    for name, setting in SETTINGS.items():
        assert f"`{name}`" in text or f"`{setting.option}" in text, name
        assert setting.is_secret or setting.option in help_text, name


def test_config_show_tells_values_and_origins(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('limit_rate = "2K"\nhttp_token = "s3cret"\nfill = "never"\n')
    said = run("config", "show", HUBFS_CONFIG=str(file), HUBFS_FILL="always").output
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert rows["limit_rate"] == ["2K", str(file)]
    assert rows["fill"] == ["always", "HUBFS_FILL"]
    assert rows["max_connections"] == ["16", "default"]
    assert rows["http_token"] == ["********", str(file)]
    found = json.loads(run("config", "show", "--json", HUBFS_CONFIG=str(file)).output)
    assert {each["name"] for each in found} == set(SETTINGS)
    (rate,) = [each for each in found if each["name"] == "limit_rate"]
    assert (rate["value"], rate["origin"]) == (2048, str(file))
    assert "s3cret" not in json.dumps(found) + said
    assert run("config", "path", HUBFS_CONFIG=str(file)).output == f"{file}\n"


@pytest.mark.parametrize("command", [["mount", "/no/such/place"], ["ls"], ["config", "show"]])
def test_a_wrong_line_in_a_file_is_misuse_of_every_command(
    command: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("metadata-ttl = 3\n")
    said = complaint(run(*command, HUBFS_CONFIG=str(file)), 2)
    sentence = f"hubfs: {file}: there is no setting 'metadata-ttl'\n"
    assert said == sentence + "  did you mean metadata_ttl?\n"


def test_readme_tells_what_a_reload_takes() -> None:
    names = [f"`{name}`" for name, setting in SETTINGS.items() if setting.is_reloaded]
    text = f"{', '.join(names[:-1])} and {names[-1]} take effect at once"
    assert text in README.read_text(), f"README, Configuration, should say: {text}"
