"""Certificates for tests, and a server that shows one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path

from lab.processes import LabError, run


class Authority:
    """A certificate authority of its own."""

    def __init__(self, directory: Path, name: str):
        self.directory, self.name = directory, name
        self.certificate, self._key = directory / f"{name}.pem", directory / f"{name}.key"
        made = ["-keyout", self._key, "-out", self.certificate, "-subj", f"/CN={name}", "-days", "30"]
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *made)

    def issue(self, name: str, alternative: str, days: int = 30) -> tuple[Path, Path]:
        """A certificate and its key; `days` below 0 makes one that has expired."""
        certificate, key, request = (self.directory / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-out", request, "-subj", f"/CN={name}")  # fmt: skip
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n")
        signer = ["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions]
        sign = ["openssl", "x509", "-req", "-in", request, "-out", certificate, *signer]
        try:
            run(*sign, "-days", days)
        except LabError:  # OpenSSL 3.5 wants both ends of a time that is over, and 3.0 knows neither
            run(*sign, "-not_before", "20200101000000Z", "-not_after", "20200201000000Z")
        return certificate, key


class TLSServer:
    """Shakes hands on 127.0.0.1 with a certificate, and says nothing more."""

    def __init__(self, certificate: Path, key: Path):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.settimeout(5)
                with contextlib.suppress(OSError), self.context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(1)

    def close(self) -> None:
        """Listens no more."""
        self.listener.close()
