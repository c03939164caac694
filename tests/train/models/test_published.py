"""The published AttentiveChrome, compared with PyTorch's own LSTMs and with its figures on E003."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from deepchrome.errors import BadDataError
from deepchrome.train.datasets.deepchrome_csv import load_csv
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.labels import label_genes
from deepchrome.train.models import NetworkSpec, build_network
from deepchrome.train.models.metrics import auroc
from deepchrome.train.models.published import convert_attentivechrome
from deepchrome.train.models.trained import TrainedModel


class AuthorsNetwork(nn.Module):
    """The network of the authors' code, with the names of their modules."""

    def __init__(self, marks: int = 5) -> None:
        super().__init__()
        self.rnn_hms = nn.ModuleList(AuthorsLayer(1, 32) for _ in range(marks))
        self.hm_level_rnn_1 = AuthorsLayer(64, 16)
        self.fdiff1_1 = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (genes, bins, marks) to the log odds of "on"."""
        per_mark = [layer(x[:, :, mark : mark + 1]) for mark, layer in enumerate(self.rnn_hms)]
        return self.fdiff1_1(self.hm_level_rnn_1(torch.stack(per_mark, 1)))[:, 0]


class AuthorsLayer(nn.Module):
    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(inputs, units, bidirectional=True, batch_first=True)
        self.bin_attention = nn.Module()
        self.bin_attention.bin_context_vector = nn.Parameter(torch.empty(2 * units, 1).uniform_(-0.1, 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.rnn(x)
        return ((states @ self.bin_attention.bin_context_vector).softmax(1) * states).sum(1)


def random_weights(marks: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return AuthorsNetwork(marks).state_dict()


def authors_log_odds(weights, x) -> np.ndarray:
    network = AuthorsNetwork(x.shape[2])
    network.load_state_dict(weights)
    with torch.no_grad():
        return network(torch.from_numpy(x)).double().numpy()


@pytest.mark.parametrize("marks", [1, 5])
def test_converted_network_equals_the_authors(marks) -> None:
    published = random_weights(marks)
    x = np.random.default_rng(1).poisson(2.0, (7, 100, marks)).astype(np.float32)
    network = build_network(NetworkSpec("attentivechrome", marks, 100), 1)
    converted = convert_attentivechrome(published, marks)
    assert {name: tuple(weight.shape) for name, weight in converted.items()} == network.shapes()
    assert {weight.dtype for weight in converted.values()} == {torch.float32}
    network.load(0, converted)
    with torch.no_grad():
        logits = network(torch.from_numpy(x)[None])[0]
    assert not logits[:, 0].any()
    np.testing.assert_allclose(logits[:, 1].numpy(), authors_log_odds(published, x), atol=1e-5)


def test_missing_and_unknown_names_are_refused() -> None:
    published = random_weights()
    without = {name: weight for name, weight in published.items() if name != "fdiff1_1.bias"}
    with pytest.raises(BadDataError, match=r"no fdiff1_1\.bias \(1 of 56 names missing\)"):
        convert_attentivechrome(without)
    with pytest.raises(BadDataError, match="unknown name 'more'"):
        convert_attentivechrome(published | {"more": torch.zeros(1)})
    with pytest.raises(BadDataError, match=r"unknown name 'rnn_hms\.4\."):
        convert_attentivechrome(published, marks=4)


@pytest.mark.parametrize("name", sorted(random_weights(1)))
def test_wrong_shapes_and_values_are_refused(name) -> None:
    published = random_weights(1)
    with pytest.raises(BadDataError, match="has the shape"):
        convert_attentivechrome(published | {name: published[name][:-1]}, marks=1)
    for bad in (torch.full_like(published[name], torch.nan), published[name].to(torch.int64)):
        with pytest.raises(BadDataError, match=f"{name} has values that are not finite"):
            convert_attentivechrome(published | {name: bad}, marks=1)


@pytest.mark.realdata
def test_published_weights_rank_e003_by_the_numeric_labels(shared_data, tmp_path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.csv.gz").symlink_to(shared_data / "csv" / f"E003.{part}.csv.gz")
    (data,), _ = load_csv(tmp_path)
    expression = read_expression(shared_data / "roadmap" / "rpkm_56_epigenomes.tsv.gz", ["E003"])
    row_of = {gene: row for row, gene in enumerate(expression.gene_id)}
    rows = [row_of[f"ENSG{gene:>011}"] for gene in data.gene_id]
    numeric, text = (label_genes(expression.column("E003"), rule)[rows] for rule in ("numeric", "published"))
    assert numeric.tolist() == data.y.tolist()

    published = load_file(shared_data / "published" / "attentivechrome_E003_published.safetensors")
    x = np.asarray(data.x)
    weights = {name: weight[None] for name, weight in convert_attentivechrome(published).items()}
    model = TrainedModel(NetworkSpec("attentivechrome", 5, 100), weights)
    scores = model.score(x)
    np.testing.assert_allclose(scores.log_odds, authors_log_odds(published, x), atol=1e-4)
    p = scores.score

    # The figures were measured with the authors' code.
    assert auroc(text, p) == pytest.approx(0.687, abs=0.002)
    assert auroc(numeric, p) == pytest.approx(0.861, abs=0.002)
    assert p.mean() == pytest.approx(0.294, abs=0.001)
    assert (text.mean(), numeric.mean()) == (pytest.approx(0.305, abs=5e-4), pytest.approx(0.547, abs=5e-4))
    groups = {"turned off": numeric > text, "on": text == 1, "off": numeric == 0}
    means = {group: round(float(p[genes].mean()), 2) for group, genes in groups.items()}
    assert means == {"turned off": 0.41, "on": 0.37, "off": 0.18}
    # The weights expect counts: their logarithm is ranked worse.
    assert auroc(numeric, model.score(np.log1p(x)).score) < 0.81
