"""Checkpoints: complete, undamaged, and each in the folder of its run."""

from dataclasses import replace

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training.checkpoint import Checkpoint, Checkpoints, hardware_fingerprint
from tests.runs import flip_a_bit, full_disk


def state(step: int) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    tensors = {
        "weight": torch.randn(300, 100, generator=generator),
        "metrics": torch.rand(2, 4, generator=generator, dtype=torch.float64),
    }
    return Checkpoint(step, tensors, {"rows": [{"loss": 0.1 + 0.2}], "seconds": [1 / 3, 0.0]})


def same(a: Checkpoint, b: Checkpoint) -> bool:
    return (
        (a.step, a.progress, a.tensors.keys()) == (b.step, b.progress, b.tensors.keys())
        and all(torch.equal(value, b.tensors[name]) for name, value in a.tensors.items())
        and all(value.dtype == b.tensors[name].dtype for name, value in a.tensors.items())
    )


def files(checkpoints: Checkpoints, step: int):
    path = checkpoints.folder / f"step-{step:09}.safetensors"
    return path, path.with_suffix(".sha256")


# Saving and loading


def test_a_checkpoint_is_loaded_bit_for_bit(checkpoints):
    assert checkpoints.load_latest() is None
    checkpoints.save(state(7))
    assert same(checkpoints.load_latest(), state(7))


def test_the_last_two_are_kept(checkpoints):
    for step in (9, 10, 99, 100, 1000):
        checkpoints.save(state(step))
    kept = {file for step in (100, 1000) for file in files(checkpoints, step)}
    assert set(checkpoints.folder.glob("step-*")) == kept
    assert same(checkpoints.load_latest(), state(1000))


def test_the_last_checkpoint_is_kept_alone(checkpoints):
    for step in (6, 7):
        checkpoints.save(state(step))
    checkpoints.save(state(7), is_final=True)
    (kept,) = checkpoints.folder.glob("step-*.safetensors")
    assert kept.stem == "step-000000007-final"
    assert same(checkpoints.load_latest(), state(7))


@pytest.mark.parametrize("name", ["save_file", "sha256", "write_text"])
def test_until_the_last_checkpoint_is_written_the_one_of_the_same_step_is_used(
    checkpoints, monkeypatch, name
):
    """Killed before its tensors are there, and before its digest is."""
    checkpoints.save(state(6))
    checkpoints.save(state(7))

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"alexnet.training.checkpoint.{name}", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(replace(state(8), step=7), is_final=True)
    monkeypatch.undo()
    assert same(checkpoints.load_latest(), state(7))


def test_a_run_without_a_checkpoint_leaves_no_folder(tmp_path):
    Checkpoints(tmp_path, {}).close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [".step-000000002.safetensors.123.tmp", ".tmpGXRmNl"])
def test_partial_files_are_removed(tmp_path, name):
    """Those of ours, and those of safetensors, which writes to a name of its own."""
    first = Checkpoints(tmp_path, {})
    first.save(state(1))
    first.close()
    left_over = first.folder / name
    left_over.write_bytes(bytes(1000))
    second = Checkpoints(tmp_path, {})
    assert not left_over.exists()
    assert same(second.load_latest(), state(1))
    second.close()


# Damage


@pytest.mark.parametrize("position", [0, 0.001, 0.3, 1])
@pytest.mark.parametrize("damaged", ["checkpoint", "digest"])
def test_after_a_flipped_bit_the_older_one_is_used_with_a_warning(
    checkpoints, position, damaged, caplog
):
    """A flipped bit also makes the digest invalid UTF-8."""
    for step in (1, 2):
        checkpoints.save(state(step))
    checkpoint, digest = files(checkpoints, 2)
    flip_a_bit(checkpoint if damaged == "checkpoint" else digest, position)
    assert same(checkpoints.load_latest(), state(1))
    assert caplog.messages == [f"checkpoint {checkpoint} is damaged (wrong SHA-256) and not used"]


def test_a_checkpoint_without_digest_is_skipped(checkpoints, caplog):
    """Writing was interrupted between the two files: no warning."""
    for step in (1, 2):
        checkpoints.save(state(step))
    files(checkpoints, 2)[1].unlink()
    assert same(checkpoints.load_latest(), state(1))
    assert not caplog.messages


def test_if_both_are_damaged_there_is_none(checkpoints, caplog):
    for step in (1, 2):
        checkpoints.save(state(step))
        flip_a_bit(files(checkpoints, step)[0])
    assert checkpoints.load_latest() is None
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("damage", ["flipped", "no digest"])
def test_damaged_checkpoints_are_removed_before_valid_ones(checkpoints, damage):
    """The run starts again, so that its new checkpoints have lower steps than the damaged ones."""
    for step in (100, 101):
        checkpoints.save(state(step))
        checkpoint, digest = files(checkpoints, step)
        digest.unlink() if damage == "no digest" else flip_a_bit(checkpoint)
    checkpoints.load_latest()
    for step in (1, 2):
        checkpoints.save(state(step))
    assert same(checkpoints.load_latest(), state(2))
    flip_a_bit(files(checkpoints, 2)[0])
    assert same(checkpoints.load_latest(), state(1))


# A full disk


@pytest.mark.parametrize("limit", [0, 60_000], ids=["no byte", "half of it"])
def test_on_a_full_disk_the_older_one_stays_valid(checkpoints, limit):
    for step in (1, 2):
        checkpoints.save(state(step))
    before = set(checkpoints.folder.iterdir())
    with full_disk(limit), pytest.raises(OSError, match=r"step-000000003|File too large"):
        checkpoints.save(state(3))
    assert set(checkpoints.folder.iterdir()) == before
    assert same(checkpoints.load_latest(), state(2))


def test_on_a_full_disk_a_digest_may_be_missing(checkpoints, monkeypatch):
    checkpoints.save(state(1))

    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("alexnet.training.checkpoint.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(state(2))
    assert same(checkpoints.load_latest(), state(1))


# The folder and the run key


def test_another_run_has_its_own_folder(checkpoints, tmp_path):
    checkpoints.save(state(1))
    other = Checkpoints(tmp_path, {"seed": 1})
    assert other.load_latest() is None
    other.close()


def test_a_second_process_in_the_same_run_is_an_error(checkpoints, tmp_path):
    checkpoints.save(state(1))
    with pytest.raises(UserError, match="another process is training this very run") as error:
        Checkpoints(tmp_path, {"seed": 0})
    assert str(checkpoints.folder) in str(error.value)
    checkpoints.close()
    again = Checkpoints(tmp_path, {"seed": 0})
    assert same(again.load_latest(), state(1))
    again.close()


def test_the_hardware_fingerprint_has_the_numbers_of_processes_and_threads():
    one, two = (hardware_fingerprint(torch.device("cpu"), number) for number in (1, 2))
    assert one != two
    assert one["threads"] == torch.get_num_threads()
    assert one["torch"] == torch.__version__


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "checkpoints"
    with pytest.raises(UserError, match=rf"cannot be kept in {folder}: .*; set ALEXNET_CHECK"):
        Checkpoints(folder, {})
    with full_disk(0), pytest.raises(UserError, match=r"cannot be kept .*File too large"):
        Checkpoints(tmp_path, {})
