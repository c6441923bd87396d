"""Several processes that train one network, as torchrun starts them.

Gradients are averaged here and not by DistributedDataParallel: the second stage runs outside the
network's ``forward``, on proposals that are known only after it, and half of the steps leave the
detection out, both of which its bookkeeping forbids.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.utils.data import Dataset

from models.errors import ModelError
from models.training.crops import Crop

_PATIENCE = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Processes:
    """The one process that runs this, among those that train together.

    Attributes
    ----------
    rank : int
        0 is the one that writes and prints.
    count : int
    local_rank : int
        Number on this machine: which of its GPUs to use.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    def device(self, name: str) -> str:
        """Return the device of this process: each has a GPU of its own."""
        return f"cuda:{self.local_rank}" if name == "cuda" and self.count > 1 else name

    @torch.no_grad()
    def mean_gradients(self, network: nn.Module) -> None:
        """Average gradients over the processes; what none of them has stays without one."""
        if self.count == 1:
            return
        parameters = [p for p in network.parameters() if p.requires_grad]
        device = parameters[0].device
        there = torch.tensor([float(p.grad is not None) for p in parameters], device=device)
        distributed.all_reduce(there)
        shared = [p for p, n in zip(parameters, there.tolist(), strict=True) if n > 0]
        if not shared:
            return
        flat = torch.cat([
            (torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in shared
        ])  # fmt: skip
        distributed.all_reduce(flat)
        flat /= self.count
        for p, part in zip(shared, flat.split([p.numel() for p in shared]), strict=True):
            p.grad = part.reshape(p.shape).to(memory_format=_format(p))

    @torch.no_grad()
    def mean_statistics(self, network: nn.Module) -> None:
        """Average the statistics of the normalisation, which each process gathers by itself."""
        if self.count == 1:
            return
        for buffer in network.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer /= self.count

    def agreed(self, value: float) -> float:
        """Return the value of rank 0."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            shared = shared.cuda(self.local_rank)
        distributed.broadcast(shared, 0)
        return float(shared)

    @torch.no_grad()
    def check_equal(self, network: nn.Module) -> None:
        """Make sure that all processes hold the same weights.

        Raises
        ------
        ModelError
            They do not: a process has been given other data or settings.
        """
        if self.count == 1:
            return
        total = torch.stack([v.double().sum() for v in network.state_dict().values()])
        others = total.clone()
        distributed.broadcast(others, 0)
        if not torch.equal(total, others):
            raise ModelError(
                f"training: process {self.rank} holds other weights than process 0; start all "
                "with the same settings and data"
            )


def _format(parameter: Tensor) -> torch.memory_format:
    channels_last = parameter.ndim == 4 and parameter.is_contiguous(
        memory_format=torch.channels_last
    )
    return torch.channels_last if channels_last else torch.contiguous_format


@contextmanager
def joined(device: str = "cpu") -> Iterator[Processes]:
    """Join the processes that torchrun started; alone where it started none."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    distributed.init_process_group(
        "nccl" if device.startswith("cuda") else "gloo", timeout=_PATIENCE
    )
    try:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        yield Processes(distributed.get_rank(), count, local)
    finally:
        distributed.destroy_process_group()


def speaks() -> bool:
    """Whether this process prints results: of those that torchrun started, the first alone."""
    return os.environ.get("RANK", "0") == "0"


class ShareOf(Dataset[Crop]):
    """The samples of one process: its part of every batch.

    Together the processes see what one alone would see.
    """

    def __init__(self, crops: Dataset[Crop], batch: int, processes: Processes) -> None:
        if batch % processes.count:
            raise ModelError(
                f"training: a batch of {batch} cannot be shared by {processes.count} processes; "
                "choose a multiple"
            )
        self.crops = crops
        self.batch = batch
        self.part = batch // processes.count
        self.rank = processes.rank

    def __getitem__(self, index: int) -> Crop:
        """Return sample ``index``, counted within this process."""
        step, k = divmod(index, self.part)
        return self.crops[step * self.batch + self.rank * self.part + k]
