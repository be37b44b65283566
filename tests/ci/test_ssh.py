"""A remote behind SSH: the job's key is used, and is a file for its owner alone."""

import asyncio
import shutil
import stat
import threading
from collections.abc import Iterator

import pytest

from tests.ci.test_remote import call

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path) -> Iterator[tuple[str, str]]:
    """(the address of a folder on an SSH server, the private key that opens it)."""
    asyncssh = pytest.importorskip("asyncssh")
    pytest.importorskip("dvc_ssh")
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "authorized").write_bytes(key.export_public_key())
    (tmp_path / "stored").mkdir()
    ready, ended = threading.Event(), asyncio.Event()
    found = {}

    async def serve() -> None:
        listening = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=str(tmp_path / "authorized"),
            sftp_factory=True,
        )
        async with listening:
            found.update(port=listening.get_port(), loop=asyncio.get_running_loop())
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(60)
    address = f"ssh://someone@127.0.0.1:{found['port']}{tmp_path / 'stored'}"
    yield address, key.export_private_key().decode()
    found["loop"].call_soon_threadsafe(ended.set)
    thread.join()


def test_the_key_of_the_job_opens_the_remote(server, on_main, here, tmp_path):
    """Where the environment names it, and where .dvc/config does."""
    address, key = server
    project = on_main(0.9)
    here(0.9)
    (tmp_path / "home").mkdir()
    job = {"DVC_REMOTE_URL": address, "HOME": str(tmp_path / "home"), "COMPARE_WITH": "main~1"}
    done = call("push", project, **job)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    shutil.copytree(tmp_path / "remote", tmp_path / "stored", dirs_exist_ok=True)
    metrics = project / "reports/evaluate/metrics.json"
    metrics.unlink()
    done = call("pull", project, DVC_SSH_KEY=key, **job)
    assert done.returncode == 0, done.stderr
    assert metrics.exists()
    file = project / ".dvc/tmp/ssh_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    file.unlink()
    (project / ".dvc/config.local").unlink()
    (project / ".dvc/config").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {address}\n"
    )
    done = call("pull", project, DVC_SSH_KEY=key, **job | {"DVC_REMOTE_URL": ""})
    assert done.returncode == 0, done.stderr
    assert "from the DVC remote store (ssh://" in done.stdout


def test_a_missing_folder_is_no_empty_remote(server, on_main):
    address, key = server
    project = on_main(0.9)
    job = {"DVC_REMOTE_URL": f"{address}/not-mounted", "DVC_SSH_KEY": key}
    done = call("pull", project, **job)
    assert done.returncode == 1
    assert "not-mounted) cannot be read; check its address" in done.stderr
    assert "There is no such folder on the server; make it if the remote is a new" in done.stderr
    assert "made again" not in done.stderr
    done = call("pull", project, DVC_REMOTE_URL=address, DVC_SSH_KEY=key)
    assert done.returncode == 1
    assert "has anything that dvc.lock names: is it the right remote, and mounted?" in done.stderr
