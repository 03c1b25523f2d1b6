"""`hubfs gc` and `hubfs rm`: room made on purpose."""

from __future__ import annotations

import click

from hubfs.cli.following import conclude, follow
from hubfs.cli.quantities import SIZE
from hubfs.cli.reaching import Reached, complete_repo, engine_options, reached, split_revision
from hubfs.cli.showing import files_text, show_json, show_table
from hubfs.config import Settings
from hubfs.control.client import Json
from hubfs.model.units import counted, size_text

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would go.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
_SHOWN = 50


@click.command()
@click.option("--to", type=SIZE, help="What the cache may take on disk.  [default: its budget]")
@_DRY_RUN
@_JSON
@engine_options
def gc(*, to: int | None, dry_run: bool, as_json: bool, settings: Settings) -> None:
    r"""Delete what was used longest ago, and tidy up.

    Tidied up are old commits, and what a crash left. What is open or pinned
    stays. A mount within its budget needs none of this.

    \b
    Examples:
      hubfs gc --to 100G --dry-run
      hubfs gc --to 100G
      hubfs gc --to 0            # all that is not pinned or open
    """
    with reached(settings) as engine:
        job = _done(engine, {"to": to, "dry_run": dry_run}, as_json=as_json)
    if as_json:
        return
    _show(job, dry_run=dry_run)
    result = job["result"]
    if result.get("snapshots"):
        click.echo(f"{result['snapshots']} old commits are forgotten")
    if result["short"]:
        click.echo(f"{size_text(result['short'])} more should go, and are pinned or open")


@click.command()
@click.argument("repo", metavar="REPO[@REV]", shell_complete=complete_repo)
@click.option("--force", is_flag=True, help="Though it is pinned, or its files are open.")
@_DRY_RUN
@_JSON
@engine_options
def rm(repo: str, *, force: bool, dry_run: bool, as_json: bool, settings: Settings) -> None:
    r"""Forget REPO, and delete what of it no other known repo has.

    Nothing happens to the repo on the Hub: it is known again when somebody looks
    it up. With @REV, forget that revision only. Who has a file open goes on
    reading it.

    \b
    Examples:
      hubfs rm Qwen/Qwen3-0.6B --dry-run
      hubfs rm Qwen/Qwen3-0.6B
      hubfs rm Qwen/Qwen3-0.6B@v1.0
    """
    name, revision = split_revision(repo)
    wish = {"repo": name, "revision": revision, "force": force, "dry_run": dry_run}
    with reached(settings) as engine:
        job = _done(engine, wish, as_json=as_json)
    if as_json:
        return
    _show(job, dry_run=dry_run)
    if job["result"]["shared"]:
        stay = counted(job["result"]["shared"], "file stays", "files stay")
        click.echo(f"{stay}, since others have them too")
    if not dry_run:
        click.echo(f"{repo} is forgotten")


def _done(engine: Reached, wish: Json, *, as_json: bool) -> Json:
    queued = engine.client.post("/v1/hub/evict", wish)
    (job,) = follow(engine, [queued["id"]])
    if as_json:
        show_json(job)
    conclude([job])
    return job


def _show(job: Json, *, dry_run: bool) -> None:
    result = job["result"]
    rows = [
        (
            each["kind"],
            each["used_at"][:16].replace("T", " "),
            size_text(each["size"]),
            each["name"],
        )
        for each in result["going"][:_SHOWN]
    ]
    if rows:
        show_table(("KIND", "LAST USED", "SIZE ", "NAME"), rows)
    if result["items"] > len(rows):
        click.echo(f"and {result['items'] - len(rows)} more")
    verb = "would be deleted" if dry_run else "deleted"
    click.echo(f"{files_text(result['items'])}, {size_text(result['size'])} {verb}")


def _row(item: Json) -> tuple[str, ...]:
    used_at = item["used_at"][:16].replace("T", " ")
    return item["kind"], used_at, size_text(item["size"]), item["name"]
