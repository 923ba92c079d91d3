"""ComfyUI's HTTP interface, one bounded request at a time (its server.py and execution.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

from swapgate.engines.servers.address import Address
from swapgate.engines.servers.client import Client, File
from swapgate.engines.servers.failed import ServerFailed

SHOWN = 3  # of a workflow's mistakes
SOON = 10.0  # seconds for what has to be done before a call is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that the server keeps: a file in one of its folders."""

    filename: str
    subfolder: str
    kind: str


class Server:
    """What can be asked of a server. Every method raises ServerFailed for what is no good reply.

    Args:
        client: asks it.
        address: of the server; a path in it is kept.
    """

    def __init__(self, client: Client, address: Address) -> None:
        self._client, self.address = client, address

    def stats(self) -> dict[str, Any]:
        """Versions, memory and devices."""
        return _object(self._client.get(self.address.below("system_stats")).json(), "system_stats")

    def node_class(self, kind: str) -> dict[str, Any]:
        """What the server knows of a class of nodes; empty where it does not have it."""
        found = _object(self._client.get(self.address.below(f"object_info/{quote(kind, safe='')}")).json(), "object_info")
        return _object(found.get(kind, {}), "object_info")

    def queue(self) -> tuple[list[str], list[str]]:
        """Ids of the prompts that run, and of those that wait."""
        found = _object(self._client.get(self.address.below("queue")).json(), "queue")
        running, pending = (_list(found.get(name), "queue") for name in ("queue_running", "queue_pending"))
        return _ids(running), _ids(pending)

    def submit(self, graph: Mapping[str, Any], client_id: str) -> str:
        """Put a workflow into the queue; the prompt's id. What the server finds wrong with it is a ServerFailed that names node and input."""
        try:
            reply = _object(self._client.post_json(self.address.below("prompt"), {"prompt": graph, "client_id": client_id}).json(), "prompt")
        except ServerFailed as failed:
            _explain(failed)
        prompt = reply.get("prompt_id")
        if not isinstance(prompt, str) or not prompt:
            raise ServerFailed("bad-reply", f"{self.address.shown}: no prompt_id in the reply to a prompt")
        mistakes = _mistakes(reply.get("node_errors"))
        if mistakes:  # the server leaves out what is wrong and runs the rest, which is another workflow
            self.take_back(prompt)
            raise ServerFailed("refused", f"the server would run only a part of the workflow: {mistakes}")
        return prompt

    def history(self, prompt: str) -> dict[str, Any]:
        """What became of a prompt; empty while it is not done."""
        found = _object(self._client.get(self.address.below(f"history/{quote(prompt, safe='')}")).json(), "history")
        return _object(found.get(prompt, {}), "history")

    def picture(self, picture: Picture) -> bytes:
        """The file of a picture."""
        query = urlencode({"filename": picture.filename, "subfolder": picture.subfolder, "type": picture.kind})
        return self._client.get(replace(self.address.below("view"), query=query)).body

    def upload(self, path: Path) -> str:
        """Bring a picture into the server's input folder; the name by which a node loads it. The same file is written once."""
        content = path.read_bytes()
        name = f"{sha256(content).hexdigest()[:24]}{path.suffix.lower()}"
        files = {"image": File(name=name, content=content)}
        fields = {"subfolder": "swapgate", "type": "input", "overwrite": "true"}
        reply = _object(self._client.post_form(self.address.below("upload/image"), fields, files).json(), "upload/image")
        if not isinstance(reply.get("name"), str):
            raise ServerFailed("bad-reply", f"{self.address.shown}: no name in the reply to an upload")
        folder = str(reply.get("subfolder") or "")
        return f"{folder}/{reply['name']}" if folder else str(reply["name"])

    def free(self) -> None:
        """Let go of models and of what nodes have made, when the server is idle."""
        self._client.post_json(self.address.below("free"), {"unload_models": True, "free_memory": True})

    def take_back(self, prompt: str) -> None:
        """Out of the queue, and interrupted where it runs already. Older servers interrupt whatever runs, so it is looked first whose that is."""
        self._client.post_json(self.address.below("queue"), {"delete": [prompt]}, seconds=SOON)
        if prompt in self.queue()[0]:
            self._client.post_json(self.address.below("interrupt"), {"prompt_id": prompt}, seconds=SOON)


def pictures_of(output: object) -> list[Picture]:
    """The pictures that an output node says it has made."""
    images = output.get("images") if isinstance(output, dict) else None
    found = [one for one in images or () if isinstance(one, dict) and isinstance(one.get("filename"), str)] if isinstance(images, list) else []
    return [Picture(filename=one["filename"], subfolder=str(one.get("subfolder") or ""), kind=str(one.get("type") or "output")) for one in found]


def _ids(items: list[Any]) -> list[str]:
    return [str(item[1]) for item in items if isinstance(item, list) and len(item) > 1]


def _explain(failed: ServerFailed) -> NoReturn:
    """A refused prompt with the nodes and inputs that were refused."""
    try:
        body = json.loads(failed.body)
    except (ValueError, RecursionError):
        raise failed from None
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else ""
    mistakes = _mistakes(body.get("node_errors")) if isinstance(body, dict) else ""
    said = mistakes or str(details or "")
    raise ServerFailed(failed.kind, f"{failed.message}: {said}" if said else failed.message, status=failed.status) from None


def _mistakes(errors: object) -> str:
    """node_errors in words: "node 4 (UNETLoader): Value not in list: unet_name: ..."."""
    told = [(node, one) for node, one in errors.items() if isinstance(one, dict)] if isinstance(errors, dict) else []
    found = [
        f"node {node} ({one.get('class_type')}): {mistake.get('message')}: {str(mistake.get('details'))[:200]}"
        for node, one in told
        for mistake in one.get("errors", ())
        if isinstance(mistake, dict)
    ]
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def _object(found: object, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ServerFailed("bad-reply", f"{what}: an object was expected, {type(found).__name__} came")
    return found


def _list(found: object, what: str) -> list[Any]:
    if not isinstance(found, list):
        raise ServerFailed("bad-reply", f"{what}: a list was expected, {type(found).__name__} came")
    return found
