"""`hubfs config`: what every setting is here, and who says so."""

from __future__ import annotations

from typing import Any

import click

from hubfs.cli.options import given_sources
from hubfs.cli.showing import show_json, show_table
from hubfs.config.sources import Chosen


@click.group()
def config() -> None:
    r"""Show the settings, and where they come from.

    A setting is given on the command line, else in the environment, else in the
    user's configuration file, else in the system's. The files are TOML and have
    a line for each setting:

    \b
      cache_dir = "/data/hubfs"
      limit_rate = "50M"
      offline = true

    \b
    Examples:
      hubfs config show
      hubfs config path
      HUBFS_CONFIG=./other.toml hubfs config show --json
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def show(*, as_json: bool) -> None:
    r"""Print every setting, its value, and its origin. Secrets are not shown.

    \b
    Examples:
      hubfs config show
      hubfs config show --json
    """
    found = given_sources({}).combined()
    if as_json:
        show_json([_described(name, each) for name, each in found.items()])
        return
    rows = [(name, each.shown or "-", each.origin) for name, each in found.items()]
    show_table(("SETTING", "VALUE", "ORIGIN"), rows)


def _described(name: str, chosen: Chosen) -> dict[str, Any]:
    setting, value = chosen.setting, chosen.value
    is_plain = isinstance(value, bool | int | float) or value is None
    return {
        "name": name,
        "value": value if is_plain else chosen.shown,
        "origin": chosen.origin,
        "default": setting.default_text,
        "variable": setting.variable,
        "is_secret": setting.is_secret,
    }


@config.command()
def path() -> None:
    r"""Print where files are looked for, what counts more first.

    \b
    Examples:
      hubfs config path
      $EDITOR "$(hubfs config path | head -n 1)"
    """
    for file in given_sources({}).files:
        click.echo(file.path)
