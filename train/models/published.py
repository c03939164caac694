"""Load the published weights of AttentiveChrome, to compare our network with that of its authors."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from deepchrome.errors import BadDataError
from deepchrome.train.models.attentivechrome import BIN_UNITS, MARK_UNITS

_DIRECTIONS: Final = ("", "_reverse")
_OVER_MARKS: Final = "hm_level_rnn_1"
_OUTPUT: Final = "fdiff1_1"


def convert_attentivechrome(published: Mapping[str, Tensor], marks: int = 5) -> dict[str, Tensor]:
    """Turn the weights of the authors' PyTorch code into those of one :class:`AttentiveChrome`.

    The published networks (Singh et al. 2017, NIPS 30:6785; github.com/QData/AttentiveChrome, and Kipoi) expect read
    counts, neither scaled nor transformed, with bins in genomic order and marks in the order
    :data:`~deepchrome.engine.features.exports.csv.PUBLISHED_MARK_ORDER`.

    The authors' network has one output z, the log odds of "on". Ours has two, of which this function makes 0 and z.
    PyTorch's two biases of an LSTM are only ever added, so they become one.

    Parameters
    ----------
    published
        Weights by the name of the authors' module: floating point, finite.
    marks
        Number of marks of the network.

    Returns
    -------
    dict
        float32 weights by name; see :meth:`~deepchrome.train.models.stacked.StackedModel.load`.

    Raises
    ------
    BadDataError
        A name is missing or unknown, or a weight has another shape or is not finite.
    """
    _check(published, _published_shapes(marks))
    weights = {name: weight.detach().cpu().to(torch.float32) for name, weight in published.items()}
    over_bins = [f"rnn_hms.{mark}" for mark in range(marks)]
    z_weight, z_bias = weights[f"{_OUTPUT}.weight"].T, weights[f"{_OUTPUT}.bias"].view(1, 1)
    return {
        **_lstms(weights, over_bins, "over_bins"),
        "bin_attention.context": _contexts(weights, over_bins),
        **_lstms(weights, [_OVER_MARKS], "over_marks"),
        "mark_attention.context": _contexts(weights, [_OVER_MARKS]),
        "output.weight": torch.cat([torch.zeros_like(z_weight), z_weight], 1),
        "output.bias": torch.cat([torch.zeros_like(z_bias), z_bias], 1),
    }


def _published_shapes(marks: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the authors' weights, by name."""
    shapes: dict[str, tuple[int, ...]] = {f"{_OUTPUT}.weight": (1, 2 * MARK_UNITS), f"{_OUTPUT}.bias": (1,)}
    networks = [(f"rnn_hms.{mark}", 1, BIN_UNITS) for mark in range(marks)]
    for network, inputs, units in [*networks, (_OVER_MARKS, 2 * BIN_UNITS, MARK_UNITS)]:
        shapes[f"{network}.bin_attention.bin_context_vector"] = (2 * units, 1)
        for direction in _DIRECTIONS:
            shapes[f"{network}.rnn.weight_ih_l0{direction}"] = (4 * units, inputs)
            shapes[f"{network}.rnn.weight_hh_l0{direction}"] = (4 * units, units)
            shapes[f"{network}.rnn.bias_ih_l0{direction}"] = (4 * units,)
            shapes[f"{network}.rnn.bias_hh_l0{direction}"] = (4 * units,)
    return shapes


def _check(published: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise BadDataError if these are not weights of the authors' network."""
    where = "weights of AttentiveChrome's authors"
    if missing := sorted(shapes.keys() - published.keys()):
        raise BadDataError(f"{where}: no {missing[0]} ({len(missing)} of {len(shapes)} names missing)")
    if unknown := sorted(published.keys() - shapes.keys()):
        raise BadDataError(f"{where}: unknown name {unknown[0][:60]!r} ({len(unknown)} such names)")
    for name, shape in shapes.items():
        if tuple(published[name].shape) != shape:
            raise BadDataError(f"{where}: {name} has the shape {tuple(published[name].shape)}, expected {shape}")
        if not published[name].is_floating_point() or not published[name].isfinite().all():
            raise BadDataError(f"{where}: {name} has values that are not finite numbers of floating point")


def _lstms(weights: Mapping[str, Tensor], networks: list[str], name: str) -> dict[str, Tensor]:
    """Return the weights of one BiLSTM per network: (networks, 2, inputs or units or 1, 4 * units)."""

    def stack(kind: str) -> Tensor:
        return torch.stack(
            [torch.stack([weights[f"{network}.rnn.{kind}_l0{way}"] for way in _DIRECTIONS]) for network in networks]
        )

    return {
        f"{name}.from_input": stack("weight_ih").transpose(2, 3),
        f"{name}.from_state": stack("weight_hh").transpose(2, 3),
        f"{name}.bias": (stack("bias_ih") + stack("bias_hh")).unsqueeze(2),
    }


def _contexts(weights: Mapping[str, Tensor], networks: list[str]) -> Tensor:
    return torch.stack([weights[f"{network}.bin_attention.bin_context_vector"] for network in networks])
