"""What really goes over the wire to a server on this machine: a listener in front of it that passes everything on and keeps
what clients said."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65_536


@dataclass
class Tap:
    """port: where to connect. said: what each connection sent, whole, in their order."""

    port: int
    said: list[bytearray] = field(default_factory=list)

    def clear(self) -> None:
        """Forget what was said so far."""
        self.said = []


@contextmanager
def tapped(host: str, port: int) -> Iterator[Tap]:
    """A tap in front of a server. What the server has answered has been kept before: bytes are recorded, then passed on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tap = Tap(int(listener.getsockname()[1]))
        threading.Thread(target=_accept, args=(listener, tap, (host, port)), daemon=True).start()
        yield tap


def _accept(listener: socket.socket, tap: Tap, to: tuple[str, int]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        kept = bytearray()
        tap.said.append(kept)
        threading.Thread(target=_relay, args=(client, to, kept), daemon=True).start()


def _relay(client: socket.socket, to: tuple[str, int], kept: bytearray) -> None:
    with client, suppress(OSError), socket.create_connection(to) as server:
        back = threading.Thread(target=_pump, args=(server, client, None), daemon=True)
        back.start()
        _pump(client, server, kept)
        back.join()


def _pump(source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            if kept is not None:
                kept += data
            sink.sendall(data)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
