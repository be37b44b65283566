"""What a container gets beside the project: where links lead to, git's folder, the environment."""

import os
from pathlib import Path

import pytest

from alexnet.errors import UserError
from stages.runtime import environment
from stages.runtime.dvc_config import DvcConfig
from stages.runtime.engine import Engine
from stages.runtime.mounts import (
    FOLDERS,
    PROJECT,
    Mount,
    git_folder,
    linked_caches,
    linked_folders,
    unique,
)
from tests.stages.projects import call, commit

DIGEST = "files/md5/60/b725f10c9c85c70d97880dfe8191b3"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """The current folder; no variable of the environment names a folder or a secret."""
    for name in os.environ:
        if name.startswith(("AWS_", "DVC_", "XDG_")) or name in environment.FILES:
            monkeypatch.delenv(name)
    for folder in ("project", "home", "disk"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "system"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize("inside", [True, False])
def test_a_cache_is_mounted_where_dvcs_links_point(project, inside):
    """The project's own, too: its path is another in the container."""
    cache = project / ".dvc/cache" if inside else project.parent / "disk/cache"
    (cache / DIGEST).parent.mkdir(parents=True)
    (cache / DIGEST).touch()
    folder = project / "data/raw/files/cats"
    folder.mkdir(parents=True)
    (folder / "own.png").touch()
    (folder / "mine.png").symlink_to("/etc/hostname")  # not DVC's
    for name in ("a.png", "b.png"):
        (folder / name).symlink_to(cache / DIGEST)
    assert list(linked_caches()) == [Mount(cache, cache)]


def test_a_folder_on_another_disk_is_mounted_where_its_link_points(project):
    disk = project.parent / "disk"
    for name in ("data", "runs"):
        (disk / name).mkdir()
    (disk / "alias").symlink_to("data")
    Path("data").symlink_to(disk / "alias")  # an absolute path
    Path("runs").symlink_to("../disk/runs")  # to /disk/runs, seen from /project
    Path("models").symlink_to("here")  # in the project
    Path("here").mkdir()
    Path("reports").symlink_to(disk / "missing")
    (disk / "notes").mkdir()
    Path("notes").symlink_to(disk / "notes")  # no folder of the pipeline
    assert list(linked_folders(FOLDERS)) == [
        Mount(disk / "data", disk / "alias", writable=True),
        Mount(disk / "runs", Path("/disk/runs"), writable=True),
    ]


def test_a_target_is_mounted_once_and_writable_if_one_of_them_is():
    a, b = Mount(Path("/a"), Path("/a")), Mount(Path("/a"), Path("/a"), writable=True)
    assert unique([a, b]) == unique([b, a]) == [b]


def test_a_path_may_have_any_sign():
    """Colons part the values of --volume, commas those of --mount (Go's encoding/csv)."""
    option = Mount(Path('/a,b:c "d" e'), PROJECT, writable=True).option()
    assert option == '--mount=type=bind,"source=/a,b:c ""d"" e",target=/project'


@pytest.mark.parametrize("relative", ["false", "true"])
def test_a_worktrees_git_folder_is_mounted_where_its_file_points(project, relative):
    main = project.parent / "main"
    call(project.parent, "git", "init", "--quiet", "main")
    call(main, "git", "commit", "--quiet", "--allow-empty", "--message=a")
    call(main, "git", "worktree", "add", "--quiet", str(project.parent / "tree"))
    os.chdir(project.parent / "tree")
    if relative == "true":  # as with git 2.48's worktree.useRelativePaths
        Path(".git").write_text("gitdir: ../main/.git/worktrees/tree\n")
    common = call(Path.cwd(), "git", "rev-parse", "--git-common-dir").stdout.strip()
    (mount,) = git_folder(writable=False)
    assert mount.source == Path(common).resolve()
    assert mount.target == (Path("/main/.git") if relative == "true" else main / ".git")
    os.chdir(main)
    assert not list(git_folder(writable=False)), "it is in the project"


def test_a_revision_that_git_in_the_container_cannot_find_is_passed(project):
    repository = project.parent
    (project / "dvc.lock").touch()
    (project / "code.py").touch()
    assert not any("ALEXNET_REVISION" in option for option in command()), "there is no git"
    call(repository, "git", "init", "--quiet")
    commit(repository)
    head = call(repository, "git", "rev-parse", "HEAD").stdout.strip()
    (project / "dvc.lock").write_text("the run itself writes it")
    assert f"--env=ALEXNET_REVISION={head}" in command()
    (project / "code.py").write_text("1")
    assert f"--env=ALEXNET_REVISION={head}-dirty" in command()
    os.chdir(repository)
    assert not any("ALEXNET_REVISION" in option for option in command())


def test_a_submodules_revision_is_passed(project):
    parent = project.parent / "parent"
    call(project, "git", "init", "--quiet")
    call(project, "git", "commit", "--quiet", "--allow-empty", "--message=a")
    head = call(project, "git", "rev-parse", "HEAD").stdout.strip()
    call(project.parent, "git", "init", "--quiet", "parent")
    files = ("-c", "protocol.file.allow=always")
    call(parent, "git", *files, "submodule", "--quiet", "add", project, "sub")
    os.chdir(parent / "sub")
    found = command()
    assert f"--env=ALEXNET_REVISION={head}" in found
    assert sum(option.startswith("--mount") for option in found) == 1


def command(network: bool = False, dvc: DvcConfig | None = None) -> list[str]:
    return Engine("podman", "image", "sha256:abc").command(["dvc"], "a-name", network, dvc=dvc)


def test_the_environment_passes_by_name_and_its_files_are_mounted(project, monkeypatch):
    bundle = project.parent / "ca.pem"
    bundle.touch()
    own = {"OMP_NUM_THREADS": "3", "ALEXNET_BUILDER": "https://ci"}
    online = {
        "https_proxy": "http://me:secret@proxy",
        "NO_PROXY": "a",
        "SSL_CERT_FILE": str(bundle),
    }
    online["REQUESTS_CA_BUNDLE"] = "ca.pem"  # in the project, or nowhere
    remote = {"AWS_SESSION_TOKEN": "secret", "AWS_ENDPOINT_URL": "http://s3"}
    for name, value in (own | online | remote | {"TOKEN": "secret"}).items():
        monkeypatch.setenv(name, value)
    alone, downloading = set(command()), set(command(network=True))
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("['remote \"a\"']\n    url = s3://bucket\n")
    with_dvc = set(command(network=True, dvc=DvcConfig()))
    mounted = f"--mount=type=bind,source={bundle},target={bundle},readonly"
    for found, names in (
        (alone, own),
        (downloading, own | online),
        (with_dvc, own | online | remote),
    ):
        passed = {f"--env={name}" for name in own | online | remote if f"--env={name}" in found}
        assert passed == {f"--env={name}" for name in names}
        assert (mounted in found) == ("SSL_CERT_FILE" in names)
        assert "secret" not in str(found)
        assert "TOKEN" not in str(found).replace("AWS_SESSION_TOKEN", "")


def test_what_a_gpu_has_compiled_is_kept_in_the_project(project):
    found = command()
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        (value,) = (option for option in found if option.startswith(f"--env={name}="))
        assert value.startswith(f"--env={name}=/project/.cache/")


# DVC's configuration, for a container in which it runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "cache", "target"),
    [
        (".dvc/config", "{parent}/disk/cache", "{parent}/disk/cache"),
        (".dvc/config.local", "../../disk/cache", "/disk/cache"),  # from /project/.dvc
        ("../home/.config/dvc/config", "../../../disk/cache", "{parent}/disk/cache"),
        ("../system/config", "{parent}/disk/cache", "{parent}/disk/cache"),
    ],
)
def test_the_cache_is_found_where_dvc_finds_it(project, file, cache, target):
    (project.parent / "disk/cache").mkdir()
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with Path(file).open("a") as config:
        config.write(f"[cache]\n    dir = {cache.format(parent=project.parent)}\n")
    asked = Path(call(project, "dvc", "cache", "dir").stdout.strip()).resolve()
    found = DvcConfig()
    assert Mount(asked, Path(target.format(parent=project.parent)), writable=True) in found.mounts
    folder = (project / file).parent.resolve()
    assert (Mount(folder, folder) in found.mounts) == (".dvc" not in file), "DVC reads it as well"


def test_remotes_are_mounted_and_their_secrets_only_if_a_remote_needs_them(project):
    for name in ("home/.aws", "home/.ssh", "disk/remote"):
        (project.parent / name).mkdir()
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text(
        "[core]\n    remote = a\n['remote \"a\"']\n    url = ../../disk/remote\n"
        "['remote \"b\"']\n    url = ssh://host/path\n      user = me\n"
    )
    found = DvcConfig()
    assert found.mounts == [
        Mount(project.parent / "disk/remote", Path("/disk/remote"), writable=True),
        Mount(project.parent / "home/.ssh", Path("/tmp/.ssh")),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("type = symlink", "links made there would lead to nothing here. Give the cache an absol"),
        ("type = reflink,symlink\ndir = ../../disk", "would lead to nothing here"),
        ("type = hardlink,symlink", None),
        ("type = symlink\ndir = {parent}/disk", None),
        ("dir = {parent}/missing", "DVC's cache {parent}/missing is not there; make that folder"),
        ("dir", "is no valid configuration of DVC"),
    ],
)
def test_a_cache_that_would_not_serve_both_sides_is_an_error(project, lines, message):
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[cache]\n" + lines.format(parent=project.parent))
    if message is None:
        DvcConfig()
    else:
        with pytest.raises(UserError) as caught:
            DvcConfig()
        assert message.format(parent=project.parent) in str(caught.value)
