"""Networks of the user: a class ``module:Class`` on Python's path, written for one model.

Its constructor is ``Class(marks, bins)``. Its ``forward`` takes float32 (genes, bins, marks) and returns float32
(genes, outputs): 2 outputs to classify, 1 for regression, 3 for both; see :mod:`deepchrome.train.models.outputs`.
"""

from collections.abc import Callable
from importlib import import_module

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from deepchrome.errors import UsageError
from deepchrome.train.models.outputs import OUTPUTS
from deepchrome.train.models.stacked import StackedModel


class CustomNetworks(StackedModel):
    """A stack of networks of one class, which are computed one after the other.

    Parameters
    ----------
    name
        The class, as ``module:Class``.
    models
        Number of networks.
    marks, bins
        Arguments of the class.
    task
        The task, which needs a certain number of outputs.

    Raises
    ------
    UsageError
        The class cannot be imported or built, is no :class:`torch.nn.Module`, or has another number of outputs.
    """

    def __init__(self, name: str, models: int, marks: int, bins: int, task: str) -> None:
        super().__init__()
        self.models = models
        self._build: Callable[[], nn.Module] = lambda: build_module(name, marks, bins)
        template = self._build()
        found, expected = count_outputs(name, template, marks, bins), OUTPUTS[task]
        if found != expected:
            raise UsageError(f"{name}: returns {found} outputs per gene, but the task {task} needs {expected}")
        # In a tuple, so that the weights of the template are not those of the stack.
        self._template = (template,)
        self._names = {key: key.replace(".", "/") for key, _ in template.named_parameters()}
        for key, parameter in template.named_parameters():
            stacked = torch.zeros(models, *parameter.shape)
            self.register_parameter(self._names[key], nn.Parameter(stacked))
        for key, buffer in template.named_buffers():
            self.register_buffer(key.replace(".", "/"), buffer)  # check_network refuses it by name

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:  # noqa: ARG002 - the class has its own dropout
        """Compute the outputs; see :meth:`StackedModel.forward`."""
        template = self._template[0].train(self.training)
        outputs = []
        for i in range(self.models):
            weights = {key: getattr(self, name)[i] for key, name in self._names.items()}
            outputs.append(functional_call(template, weights, (x[i],)))
        return torch.stack(outputs)

    @torch.no_grad()
    def draw(self, model: int, rng: np.random.Generator) -> None:
        """Draw the initial weights as the class does, with PyTorch's generator seeded by ``rng``."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            fresh = dict(self._build().named_parameters())
        for key, name in self._names.items():
            getattr(self, name)[model] = fresh[key]


def build_module(name: str, marks: int, bins: int) -> nn.Module:
    """Build one network of the user. PyTorch's random numbers go on as if it had not been built.

    Raises
    ------
    UsageError
        The class cannot be imported or built, or is no :class:`torch.nn.Module`.
    """
    module_name, _, class_name = name.partition(":")
    try:
        network_class = getattr(import_module(module_name), class_name)
        # A run from somewhere else could name anything, such as a class that starts a program.
        if isinstance(network_class, type) and issubclass(network_class, nn.Module):  # guard: user-network
            with torch.random.fork_rng(devices=[]):
                return network_class(marks, bins)
    except Exception as error:  # the code of the user can raise anything
        advice = " Add the folder of the module to PYTHONPATH" if isinstance(error, ModuleNotFoundError) else ""
        text = f"{name}: cannot be built ({type(error).__name__}: {_one_line(error)}){'.' if advice else ''}{advice}"
        raise UsageError(text) from error
    raise UsageError(f"{name}: is no torch.nn.Module")


def count_outputs(name: str, network: nn.Module, marks: int, bins: int) -> int:
    """Return the number of outputs per gene.

    Raises
    ------
    UsageError
        The network fails on an input of two genes, or returns another shape than (genes, outputs).
    """
    try:
        with torch.no_grad():
            outputs = network.eval()(torch.zeros(2, bins, marks))
    except Exception as error:
        problem = f"{type(error).__name__}: {_one_line(error)}"
        raise UsageError(f"{name}: fails on an input of shape (2, {bins}, {marks}) ({problem})") from error
    if not isinstance(outputs, Tensor):
        raise UsageError(f"{name}: returns a {type(outputs).__name__}, expected a tensor of shape (2, outputs)")
    shape = tuple(outputs.shape)
    if len(shape) != 2 or shape[0] != 2:
        raise UsageError(f"{name}: returns the shape {shape} for 2 genes, expected (2, outputs)")
    return int(shape[1])


def task_of(name: str, marks: int, bins: int) -> str:
    """Return the task of a network of the user, which its number of outputs tells.

    Raises
    ------
    UsageError
        The network cannot be used, or has a number of outputs that fits no task.
    """
    found = count_outputs(name, build_module(name, marks, bins), marks, bins)
    for task, outputs in OUTPUTS.items():
        if outputs == found:
            return task
    raise UsageError(f"{name}: returns {found} outputs per gene, expected 1, 2 or 3")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
