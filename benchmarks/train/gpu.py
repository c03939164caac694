"""Check and measure training on a GPU, on a machine that has only PyTorch, numpy and safetensors.

Copy the folders ``src``, ``engine``, ``train`` and ``benchmarks`` to the machine, and run there:

    PYTHONPATH=src python -m deepchrome.benchmarks.train.gpu --json gpu.json

The script prints versions, the checks of :mod:`deepchrome.benchmarks.train.checks`, a profile of one step, the parts of
an epoch, and the times of complete trainings. It exits with 1 if a check fails. To try it on a CPU, make it small:

    python -m deepchrome.benchmarks.train.gpu --device cpu --models 2 --genes 256 --epochs 2
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from deepchrome.benchmarks.train.checks import run_checks
from deepchrome.benchmarks.train.data import GENES, simulate_datasets
from deepchrome.benchmarks.train.speed import matmul_flop_per_second, time_on_device, time_training
from deepchrome.common.cores import usable_cores
from deepchrome.errors import DeepchromeError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.fitting.fit import check_datasets, matmul_precision
from deepchrome.train.fitting.stack import TrainingStack
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.run.protocols import BEST
from deepchrome.version import VERSION

_PROFILE_ROWS: Final = 25
_COPIED_BYTES: Final = {"cpu": 2**26, "cuda": 2**30}


@dataclass
class Report:
    """What was measured so far. Every part is printed, and written to a file, as soon as it is there."""

    path: Path | None
    document: dict[str, Any] = field(default_factory=dict)

    def add(self, part: str, values: Any, text: str = "") -> None:
        """Add a part, as JSON values and as text."""
        self.document[part] = values
        self.log(f"\n## {part}\n{text or _lines(values)}")
        if self.path is not None:
            self.path.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")

    def log(self, text: str) -> None:
        """Print a message."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _lines(values: dict[str, Any]) -> str:
    """Return one line per value."""
    return "\n".join(
        f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}" for name, value in values.items()
    )


def measure(options: argparse.Namespace, report: Report) -> bool:
    """Check and measure everything; return whether all checks passed."""
    began = time.perf_counter()
    device = Placement(options.device).resolve()
    report.add("versions and device", _describe(device))
    checks = []
    for check in run_checks(options.device):
        checks.append({**asdict(check), "passed": check.passed})
        report.log(f"{'pass' if check.passed else 'FAIL'}  {check.difference:.2e}  {check.name}")
    passed = all(check["passed"] for check in checks)
    report.add("checks", checks, f"{sum(check['passed'] for check in checks)} of {len(checks)} passed")

    datasets = simulate_datasets(options.models, options.genes)
    short = replace(BEST.fit, epochs=min(BEST.fit.epochs, options.epochs), min_steps=0)
    trainings = dict(_trainings(options, short))
    # The first training of a process starts the libraries of the GPU.
    warm_up = simulate_datasets(2, 256)
    time_training(warm_up, replace(short, epochs=1), Placement(options.device))

    batch = short.batch_size
    table = profile_step(simulate_datasets(options.models, batch), replace(short, precision="auto"), device)
    report.add(f"profile of one step, {options.models} models, batch {batch}", table.splitlines(), table)
    for name, config in trainings.items():
        if config.batch_size == batch:
            report.add(f"parts of an epoch, {name}", time_parts(datasets, config, device))
    for name, config in trainings.items():
        if time.perf_counter() - began > options.seconds:
            report.log(f"not measured, for lack of time: {name}")
            continue
        report.add(name, time_training(datasets, config, Placement(options.device)).to_dict())
    report.add("whole script", {"seconds": time.perf_counter() - began})
    return passed


def _trainings(options: argparse.Namespace, short: FitConfig) -> Iterator[tuple[str, FitConfig]]:
    """Yield the trainings to measure, with their names."""
    for batch in options.batch_sizes:
        yield f"short schedule, {short.epochs} epochs, batch {batch}", replace(short, batch_size=batch)
    for precision in options.precisions:
        for batch in options.batch_sizes:
            config = FitConfig(epochs=options.epochs, batch_size=batch, precision=precision)
            yield f"constant rate, {options.epochs} epochs, batch {batch}, {precision}", config


def _describe(device: torch.device) -> dict[str, Any]:
    """Return versions, the device, and its speed."""
    found: dict[str, Any] = {
        "deepchrome": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda,
        "cpu_cores": usable_cores(),
        "device": device.type,
    }
    precisions = ["fp32", "bf16"]
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"device": properties.name, "gpu_memory_gb": properties.total_memory / 1e9}
        precisions.append("tf32")
    for precision in precisions:
        found[f"matrix product, {precision}, TFLOP/s"] = matmul_flop_per_second(device, precision) / 1e12
    size = _COPIED_BYTES[device.type]
    some, other = (torch.ones(size, dtype=torch.uint8, device=device) for _ in range(2))
    copying = min(time_on_device(lambda: other.copy_(some), device) for _ in range(5))
    return found | {"copy, read and write, GB/s": 2 * size / copying / 1e9}


def profile_step(datasets: Sequence[Dataset], config: FitConfig, device: torch.device) -> str:
    """Profile an epoch of a single step, with the preparation of its genes; return PyTorch's table.

    The data sets must have as many training genes as a batch.
    """
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with matmul_precision(config, device):
        stack = _start_stack(datasets, config, device)
        for epoch in (1, 2):
            stack.train(stack.plan(epoch))
        plan = stack.plan(3)
        with profile(activities=activities) as profiler:
            time_on_device(lambda: stack.train(plan), device)
    order = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return str(profiler.key_averages().table(sort_by=order, row_limit=_PROFILE_ROWS, max_name_column_width=70))


def time_parts(datasets: Sequence[Dataset], config: FitConfig, device: torch.device) -> dict[str, float]:
    """Return the seconds to check the data and set a stack up, and those of the parts of its second epoch, in turn.

    In training, the CPU draws the random choices of the next epoch while the GPU computes.
    """
    seconds: dict[str, float] = {}

    def timed(name: str, task: Callable[[], Any]) -> Any:
        result: list[Any] = []
        seconds[name] = time_on_device(lambda: result.append(task()), device)
        return result[0]

    timed("check the data", lambda: check_datasets(datasets, config))
    with matmul_precision(config, device):
        stack = timed("set up", lambda: _start_stack(datasets, config, device))
        stack.train(stack.plan(1))
        stack.validate()
        plan = timed("draw the random choices (CPU)", lambda: stack.plan(2))
        timed("train", lambda: stack.train(plan))
        timed("validate", stack.validate)
        timed("keep all as best", lambda: [stack.keep_as_best(i) for i in range(len(datasets))])
        timed("copy all checkpoints", lambda: [stack.checkpoint(i) for i in range(len(datasets))])
    bytes_of_plan = sum(each.nbytes for each in plan if isinstance(each, torch.Tensor))
    return seconds | {"random choices, MB": bytes_of_plan / 1e6}


def _start_stack(datasets: Sequence[Dataset], config: FitConfig, device: torch.device) -> TrainingStack:
    stack = TrainingStack(plan_trainings(datasets), config, device)
    for i in range(len(datasets)):
        stack.start(i, None)
    return stack


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description="Check and measure training on a GPU.")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--models", type=int, default=56, help="number of models")
    parser.add_argument("--genes", type=int, default=GENES, help="number of training genes per model")
    parser.add_argument("--epochs", type=int, default=100, help="number of epochs with the constant rate")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 512], help="numbers of genes per step")
    parser.add_argument("--precisions", nargs="+", help="precisions; default: tf32 bf16 on a GPU, fp32 bf16 on a CPU")
    parser.add_argument("--seconds", type=float, default=200, help="start no further measurement after this time")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args(arguments)
    if options.precisions is None:
        options.precisions = ["tf32" if options.device == "cuda" else "fp32", "bf16"]
    return 0 if measure(options, Report(options.json)) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DeepchromeError as error:
        sys.exit(f"gpu: {error}")
