"""A server of the images API that has its answers ready and gives them at once, in a process of its own. Not a test.

    python prepared_server.py PICTURE.png      prints its port, then answers until standard input is closed

Whole replies are made beforehand, so that next to nothing of a request's time is the server's. It imports nothing of the project.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import threading
from pathlib import Path

FILE = "/files/picture.png"


def main(picture: str) -> None:
    """Say the port and serve; the process ends with its standard input."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    replies = _replies(Path(picture).read_bytes(), port)
    print(port, flush=True)
    threading.Thread(target=_serve, args=(listener, replies), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


def _replies(picture: bytes, port: int) -> dict[str, bytes]:
    """Whole replies by what is asked for: the list of models, a picture in base64, where a picture is, and the picture there."""
    coded = {"data": [{"b64_json": base64.b64encode(picture).decode()}]}
    linked = {"data": [{"url": f"http://127.0.0.1:{port}{FILE}"}]}
    texts = {"models": {"data": [{"id": "prepared"}]}, "b64_json": coded, "url": linked}
    bodies = {name: json.dumps(body).encode() for name, body in texts.items()} | {"file": picture}
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return {name: head % (b"image/png" if name == "file" else b"application/json", len(body)) + body for name, body in bodies.items()}


def _serve(listener: socket.socket, replies: dict[str, bytes]) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            asked = _request(connection)
            if asked.startswith(b"GET"):
                connection.sendall(replies["file" if FILE.encode() in asked.partition(b"\r\n")[0] else "models"])
            elif asked:
                connection.sendall(replies["url" if b'"url"' in asked else "b64_json"])


def _request(connection: socket.socket) -> bytes:
    """A whole request; b"" when the client has left."""
    asked = b""
    while True:
        piece = connection.recv(65536)
        asked += piece
        head, end, body = asked.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        if not piece or (end and len(body) >= length):
            return asked if piece else b""


if __name__ == "__main__":
    main(*sys.argv[1:])
