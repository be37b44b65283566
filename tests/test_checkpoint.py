"""Checkpoints: whole, of this very run, and enough to end in the same bytes."""

import os
import resource
import signal
from contextlib import contextmanager

import pytest
import torch

from alexnet.checkpoint import Checkpoints, State, digest_of, machine_facts, scratch_folder
from alexnet.errors import UserError
from alexnet.interrupt import Interrupted
from tests.making import EVERYTHING, narrow, settings, train, trainer_of


def state(step: int) -> State:
    generator = torch.Generator().manual_seed(step)
    tensors = {
        "weight": torch.randn(300, 100, generator=generator),
        "meter": torch.rand(2, 4, generator=generator, dtype=torch.float64),
    }
    return State(step, tensors, {"rows": [{"loss": 0.1 + 0.2}], "seconds": [1 / 3, 0.0]})


def same(a: State, b: State) -> bool:
    return (
        (a.step, a.facts, a.tensors.keys()) == (b.step, b.facts, b.tensors.keys())
        and all(torch.equal(value, b.tensors[name]) for name, value in a.tensors.items())
        and all(value.dtype == b.tensors[name].dtype for name, value in a.tensors.items())
    )


@pytest.fixture
def checkpoints(tmp_path):
    checkpoints = Checkpoints(tmp_path, {"seed": 0})
    yield checkpoints
    checkpoints.close()


def files(checkpoints: Checkpoints, step: int):
    path = checkpoints.folder / f"step-{step:09}.safetensors"
    return path, path.with_suffix(".sha256")


def flip_a_bit(path, position: float) -> None:
    """At a share of the file's length."""
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 0x80
    path.write_bytes(content)


# What is kept


def test_a_state_comes_back_bit_for_bit(checkpoints):
    assert checkpoints.newest(pytest.fail) is None
    checkpoints.save(state(7))
    assert same(checkpoints.newest(pytest.fail), state(7))


def test_two_are_kept(checkpoints):
    for step in (9, 10, 99, 100, 1000):
        checkpoints.save(state(step))
    kept = {file for step in (100, 1000) for file in files(checkpoints, step)}
    assert set(checkpoints.folder.glob("step-*")) == kept
    assert same(checkpoints.newest(pytest.fail), state(1000))


def test_nothing_is_left_when_the_run_is_complete(checkpoints, tmp_path):
    checkpoints.save(state(1))
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_writing_left_is_swept(tmp_path):
    first = Checkpoints(tmp_path, {})
    first.save(state(1))
    first.close()
    left_over = first.folder / ".step-000000002.safetensors.123.tmp"
    left_over.write_bytes(bytes(1000))
    second = Checkpoints(tmp_path, {})
    assert not left_over.exists()
    assert same(second.newest(pytest.fail), state(1))
    second.close()


# Damage


@pytest.mark.parametrize("position", [0, 0.001, 0.3, 1])
@pytest.mark.parametrize("damaged", ["checkpoint", "digest"])
def test_a_flipped_bit_is_said_and_the_older_one_is_used(checkpoints, position, damaged):
    """0x80 in a digest is no UTF-8 either."""
    for step in (1, 2):
        checkpoints.save(state(step))
    checkpoint, digest = files(checkpoints, 2)
    flip_a_bit(checkpoint if damaged == "checkpoint" else digest, position)
    said = []
    assert same(checkpoints.newest(said.append), state(1))
    assert said == [f"checkpoint {checkpoint} is damaged (its SHA-256 is wrong): it is not used"]


def test_one_without_its_digest_is_passed_over(checkpoints):
    """Interrupted between the two files: nothing is wrong with that, so nothing is said."""
    for step in (1, 2):
        checkpoints.save(state(step))
    files(checkpoints, 2)[1].unlink()
    assert same(checkpoints.newest(pytest.fail), state(1))


def test_both_damaged(checkpoints):
    for step in (1, 2):
        checkpoints.save(state(step))
        flip_a_bit(files(checkpoints, step)[0], 0.5)
    said = []
    assert checkpoints.newest(said.append) is None
    assert len(said) == 2


@pytest.mark.parametrize("damage", ["flipped", "no digest"])
def test_later_ones_that_are_damaged_do_not_push_out_whole_ones(checkpoints, damage):
    """The run starts over, so that its new checkpoints are of lower steps than the damaged."""
    for step in (100, 101):
        checkpoints.save(state(step))
        checkpoint, digest = files(checkpoints, step)
        digest.unlink() if damage == "no digest" else flip_a_bit(checkpoint, 0.5)
    checkpoints.newest(lambda line: None)
    for step in (1, 2):
        checkpoints.save(state(step))
    assert same(checkpoints.newest(pytest.fail), state(2))
    flip_a_bit(files(checkpoints, 2)[0], 0.5)
    assert same(checkpoints.newest(lambda line: None), state(1))


# A full disk


@contextmanager
def full_disk(limit: int):
    """A limit on the size of files stands for it: a write fails in the middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 60_000], ids=["no byte", "half of it"])
def test_on_a_full_disk_the_older_one_stays_whole(checkpoints, limit):
    for step in (1, 2):
        checkpoints.save(state(step))
    before = set(checkpoints.folder.iterdir())
    with full_disk(limit), pytest.raises(OSError, match=r"step-000000003|File too large"):
        checkpoints.save(state(3))
    assert set(checkpoints.folder.iterdir()) == before
    assert same(checkpoints.newest(pytest.fail), state(2))


def test_a_disk_that_is_full_when_the_digest_is_written(checkpoints, monkeypatch):
    checkpoints.save(state(1))

    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("alexnet.checkpoint.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(state(2))
    assert same(checkpoints.newest(pytest.fail), state(1))


def fill_the_disk_after(trainer, step):
    """Checkpoints of later steps fail."""
    save = trainer.checkpoints.save

    def failing(state):
        if state.step > step:
            with full_disk(10_000):
                save(state)
        save(state)

    trainer.checkpoints.save = failing


def every_step(**changes):
    return settings(checkpoint_seconds=1e-6, **changes)


def test_training_goes_on_with_a_warning(card, digits, checkpoints):
    untouched = trained(card, digits, settings(clip_norm=2.0))
    said, rows = [], []
    torch.manual_seed(0)
    model = narrow(dropout=0.5)
    params = every_step(checkpoint_error="continue", clip_norm=2.0)
    trainer = trainer_of(model, card, digits, params, checkpoints=checkpoints, say=said.append)
    fill_the_disk_after(trainer, 4)
    trainer.fit(lambda row, seconds: rows.append(row))
    warnings = [line for line in said if line.startswith("warning: no checkpoint at step")]
    assert len(warnings) == 6
    assert "step 5 (" in warnings[0]
    assert warnings[0].endswith("training goes on")
    assert checkpoints.newest(pytest.fail).step == 4
    assert_equal(untouched, (model.state_dict(), rows))


def test_training_stops_where_that_is_wanted(card, digits, checkpoints):
    params = every_step(checkpoint_error="stop")
    trainer = trainer_of(narrow(), card, digits, params, checkpoints=checkpoints)
    fill_the_disk_after(trainer, 4)
    with pytest.raises(OSError, match="step-000000005"):
        trainer.fit(lambda row, seconds: None)
    assert checkpoints.newest(pytest.fail).step == 4


# Whose they are


def test_the_scratch_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", str(tmp_path))
    assert scratch_folder() == tmp_path
    monkeypatch.delenv("ALEXNET_CHECKPOINTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert scratch_folder() == tmp_path / "alexnet/checkpoints"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert scratch_folder() == tmp_path / ".cache/alexnet/checkpoints"


def test_another_run_has_a_folder_of_its_own(checkpoints, tmp_path):
    checkpoints.save(state(1))
    other = Checkpoints(tmp_path, {"seed": 1})
    assert other.newest(pytest.fail) is None
    other.close()


def test_a_second_process_in_the_same_run_is_refused(checkpoints, tmp_path):
    checkpoints.save(state(1))
    with pytest.raises(UserError, match="another process is in the middle of this very run") as no:
        Checkpoints(tmp_path, {"seed": 0})
    assert str(checkpoints.folder) in str(no.value)
    checkpoints.close()
    again = Checkpoints(tmp_path, {"seed": 0})
    assert same(again.newest(pytest.fail), state(1))
    again.close()


def test_a_digest_is_of_names_and_contents(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("2")
    both = digest_of([a, b])
    assert digest_of([b, a]) == both
    b.write_text("3")
    assert digest_of([a, b]) != both
    a.write_text("3")
    b.write_text("1")
    exchanged = digest_of([a, b])
    a.write_text("1")
    b.write_text("3")
    assert digest_of([a, b]) != exchanged


def test_the_number_of_processes_and_of_threads_is_part_of_the_machine():
    one, two = (machine_facts(torch.device("cpu"), number) for number in (1, 2))
    assert one != two
    assert one["threads"] == torch.get_num_threads()
    assert one["torch"] == torch.__version__


# Taken up again


def trained(card, digits, params, checkpoints=None, interrupted_after=()):
    """(weights, rows) of a run that is told to stop after some steps, and each time taken up."""
    for step in (*interrupted_after, None):
        torch.manual_seed(0)
        model, rows = narrow(dropout=0.5), []
        trainer = trainer_of(
            model, card, digits, params, checkpoints=checkpoints, say=lambda line: None
        )
        if step is None:
            trainer.fit(lambda row, seconds, rows=rows: rows.append(row))
            return model.state_dict(), rows
        stop_after(trainer, step)
        torch.rand(7)  # whatever else is drawn in a process does not matter
        with pytest.raises(Interrupted):
            trainer.fit(lambda row, seconds: None)
    raise AssertionError


def stop_after(trainer, step):
    take_step = trainer.take_step

    def told_to_stop(batch):
        take_step(batch)
        if trainer.step == step - 1:  # it is counted when the step is over
            os.kill(os.getpid(), signal.SIGTERM)

    trainer.take_step = told_to_stop


def assert_equal(a, b):
    assert a[1] == b[1]
    for name, value in a[0].items():
        assert torch.equal(value, b[0][name]), name


@pytest.mark.parametrize("muon", [None, 0.02], ids=["sgd", "muon"])
@pytest.mark.parametrize(
    "steps",
    [[1], [3], [5], [6], [9], [10], range(1, 11), [2, 4, 5, 10]],
    ids=lambda steps: "-".join(map(str, steps)),
)
def test_a_run_taken_up_again_ends_in_the_same_bytes(card, digits, checkpoints, steps, muon):
    """Two epochs of five steps, with everything that training knows, dropout included.

    Step 3 is in the middle of an epoch; step 5 is the last of one, before validation.
    """
    params = settings(**EVERYTHING, muon_learning_rate=muon)
    whole = trained(card, digits, params)
    assert_equal(whole, trained(card, digits, params, checkpoints, steps))


def test_a_damaged_checkpoint_costs_steps_and_no_bytes(card, digits, checkpoints):
    params = every_step(**EVERYTHING)
    whole = trained(card, digits, params)
    torch.manual_seed(0)
    trainer = trainer_of(narrow(dropout=0.5), card, digits, params, checkpoints=checkpoints)
    stop_after(trainer, 8)
    with pytest.raises(Interrupted):
        trainer.fit(lambda row, seconds: None)
    flip_a_bit(files(checkpoints, 8)[0], 0.5)
    assert_equal(whole, trained(card, digits, params, checkpoints))


def test_the_run_says_where_it_goes_on(card, digits, checkpoints):
    params = settings(clip_norm=2.0)
    torch.manual_seed(0)
    trainer = trainer_of(narrow(), card, digits, params, checkpoints=checkpoints)
    stop_after(trainer, 7)
    with pytest.raises(Interrupted):
        trainer.fit(lambda row, seconds: None)
    run = train(narrow(), card, digits, params, checkpoints=checkpoints)
    assert run.lines[0] == "going on from the checkpoint at step 7 of 10"
    assert not any(line.startswith("initial loss") for line in run.lines)
    assert len(run.losses) == 3


def test_a_user_without_a_home(monkeypatch):
    for name in ("ALEXNET_CHECKPOINTS", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)  # whom no passwd file knows
    with pytest.raises(UserError, match=r"user 54321 has no home .*; set HOME, or ALEXNET_CHECK"):
        scratch_folder()


def test_a_home_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"no checkpoints can be kept: .*file.*; set ALEXNET_CHECK"):
        Checkpoints(tmp_path / "file" / "checkpoints", {})
