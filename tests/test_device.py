"""The device and the precision are what was asked for, or refused."""

import pytest
import torch

from alexnet.device import autocast, choose_device, choose_precision
from alexnet.errors import UserError

CPU = torch.device("cpu")


def test_cpu_is_held_to():
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_if_there_is_one(monkeypatch, there, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device("auto").type == device


def test_cuda_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="cuda is asked for"):
        choose_device("cuda")


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bf16_where_the_processor_has_it(monkeypatch, native, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    assert choose_precision("auto", CPU) == dtype
    assert choose_precision("fp32", CPU) == torch.float32


def test_bf16_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(UserError, match=r"train.precision: bf16 is asked for"):
        choose_precision("bf16", CPU)


def test_autocast_computes_in_that_type():
    a = torch.ones(2, 2)
    with autocast(CPU, torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
    with autocast(CPU, torch.float32):
        assert (a @ a).dtype == torch.float32
