"""An S3 service on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def s3_service() -> Iterator[dict[str, str]]:
    """The environment of its clients; it has one bucket, named `bucket`."""
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("dvc_s3")
    import requests

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        requests.put(f"{address}/bucket", timeout=120).raise_for_status()
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        yield keys | {"AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "us-east-1"}
    finally:
        server.stop()
