"""The control endpoint: the Python API over HTTP, below a path no client of a Hub uses.

    GET  /-/log          all records        POST /-/reset-log
    GET  /-/faults       faults to come     POST /-/faults     [{"action": ..., ...}, ...]
    GET  /-/settings     rtt and the like   POST /-/settings   {"rtt": 0.05, ...}
    POST /-/{operation}  keyword arguments of that method of LocalHub, as JSON

In `files`, a file is {"text": ...}, {"base64": ...}, {"file": path} or null.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.localhub.answers import json_answer
from tests.localhub.faults import Fault
from tests.localhub.refusals import no_such_route
from tests.localhub.state import HubState
from tests.localhub.wire import Request, Response

_SETTINGS = (
    "rtt",
    "bandwidth",
    "page_size",
    "expanded_page_size",
    "signature_lifetime",
    "compress",
    "anonymous_error_code",
    "xet",
    "xet_cas_url",
    "requests_per_window",
)
_OPERATIONS = frozenset(
    {
        "create_repo",
        "push",
        "force_push",
        "create_branch",
        "create_tag",
        "delete_ref",
        "delete_repo",
        "rename_repo",
        "add_alias",
        "set_access",
        "add_token",
        "remove_token",
        "expire_signatures",
    }
)


def answer_control(hub: HubState, request: Request) -> Response:
    """Answer /-/{name}."""
    name = request.segments[-1]
    body = json.loads(request.body or b"null")
    is_post = request.method == "POST"
    if is_post and name in _OPERATIONS:
        return json_answer(_operate(hub, name, body or {}))
    route = (_WRITES if is_post else _READS).get(name)
    if route is None:
        raise no_such_route()
    return json_answer(route(hub, body))


def _operate(hub: HubState, name: str, arguments: dict[str, Any]) -> object:
    if "files" in arguments:
        files = arguments["files"].items()
        arguments["files"] = {path: _file(given) for path, given in files}
    return getattr(hub, name)(**arguments)


def _file(given: dict[str, str] | None) -> bytes | Path | None:
    if given is None:
        return None
    if "file" in given:
        return Path(given["file"])
    return base64.b64decode(given["base64"]) if "base64" in given else given["text"].encode()


_OK = {"ok": True}


def _reset_log(hub: HubState, _: object) -> object:
    hub.log.clear()
    return _OK


def _add_faults(hub: HubState, body: Any) -> object:
    hub.faults.add(*(Fault(**given) for given in body))
    return _OK


def _settings(hub: HubState, _: object) -> object:
    return {name: getattr(hub, name) for name in _SETTINGS}


def _change_settings(hub: HubState, body: Any) -> object:
    for name in body.keys() & set(_SETTINGS):
        setattr(hub, name, body[name])
    return _settings(hub, None)


_READS: Mapping[str, Callable[[HubState, Any], object]] = {
    "log": lambda hub, _: hub.log.as_json(),
    "faults": lambda hub, _: [asdict(fault) for fault in hub.faults.waiting],
    "settings": _settings,
}
_WRITES: Mapping[str, Callable[[HubState, Any], object]] = {
    "reset-log": _reset_log,
    "faults": _add_faults,
    "settings": _change_settings,
}
