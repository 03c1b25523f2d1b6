"""README's table of the control API against the API itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.control.rig import Api

README = Path(__file__).parents[2] / "README.md"
ROW = re.compile(r"^\| `([A-Z]+) (/\S*)` \|(.*?)\|(.*?)\|$", re.MULTILINE)
PLACES = {"REPO": "{repo}", "ID": "{id}"}
VALUES = {"models", "datasets", "spaces"}


def told() -> dict[tuple[str, str], set[str]]:
    """What README says of each request: the names of what it takes."""
    section = README.read_text().partition("\n### The control API\n")[2].partition("\n### ")[0]
    return {
        (method, re.sub("REPO|ID", lambda found: PLACES[found[0]], path)): {
            *re.findall(r"`(\w+)`", taken)
        }
        - VALUES
        for method, path, taken, _ in ROW.findall(section)
    }


def taken_by(operation: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """The names of what a request takes, but for what its path names."""
    query = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    content = operation.get("requestBody", {}).get("content", {})
    body = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    return query | (schemas[body.rpartition("/")[2]]["properties"].keys() if body else set())


def test_every_route_and_all_that_it_takes_is_in_the_readme_and_nothing_else(api: Api) -> None:
    document = api.get("/openapi.json")
    schemas = document["components"]["schemas"]
    served = {
        (method.upper(), path): taken_by(operation, schemas)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert told() == served
