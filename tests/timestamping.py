"""A real timestamping authority for tests: ``openssl ts`` behind HTTP on loopback."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """\
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
"""


@dataclass
class Authority:
    """url: where it answers. ca: its root. broken: what it answers instead, for tests of refusals. change: what it makes of
    each answer before it goes out."""

    url: str
    ca: Path
    broken: list[bytes] = field(default_factory=list)
    asked: int = 0
    change: Callable[[bytes], bytes] = bytes


def _run(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
_CA = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")


def certificates(folder: Path, *, between: bool = False) -> None:
    """A root and the authority's certificate, which may stamp and nothing else. between: another authority stands between
    the two, and what is answered holds all three (``chain.pem``)."""
    folder.mkdir()
    root = [word for extension in _CA for word in ("-addext", extension)]
    _run(folder, "req", "-x509", *_NEW, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=root", *root)
    if between:
        _issue(folder, "between", "ca", *_CA)
        (folder / "chain.pem").write_text((folder / "between.pem").read_text() + (folder / "ca.pem").read_text())
    usage = ("extendedKeyUsage=critical,timeStamping", "keyUsage=critical,digitalSignature")
    _issue(folder, "tsa", "between" if between else "ca", *usage)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))


def _issue(folder: Path, name: str, by: str, *extensions: str) -> None:
    _run(folder, "req", *_NEW, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / "extensions").write_text("\n".join(extensions) + "\n")
    signing = ("-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial", "-days", "30", "-extfile", "extensions")
    _run(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)


@contextmanager
def authority(folder: Path, *, between: bool = False) -> Iterator[Authority]:
    """Start one; it ends with the block."""
    certificates(folder, between=between)
    chain = ("-chain", "chain.pem") if between else ()
    made = Authority("", folder / "ca.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.asked += 1
            query = folder / f"{made.asked}.tsq"
            query.write_bytes(self.rfile.read(int(self.headers["content-length"])))
            reply = folder / f"{made.asked}.tsr"
            _run(folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", query.name, "-out", reply.name, *chain)
            answer = made.broken.pop() if made.broken else made.change(reply.read_bytes())
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
