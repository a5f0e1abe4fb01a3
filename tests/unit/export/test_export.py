from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
onnx = pytest.importorskip("onnx")

from serve_app.errors import ModelUnusable  # noqa: E402
from serve_app.export.export import export_onnx  # noqa: E402

pytestmark = pytest.mark.slow

LAYERS = 2
VOCABULARY = 200


def distilbert(activation: str = "gelu") -> Any:
    config = transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=48, hidden_dim=96, n_layers=LAYERS, n_heads=4,
        max_position_embeddings=64, num_labels=2, initializer_range=0.2, activation=activation,
    )  # fmt: skip
    return transformers.DistilBertForSequenceClassification(config)


def bert() -> Any:
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=45, intermediate_size=97, num_hidden_layers=LAYERS,
        num_attention_heads=3, max_position_embeddings=64, num_labels=3, initializer_range=0.2,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def roberta() -> Any:
    config = transformers.RobertaConfig(
        vocab_size=VOCABULARY, hidden_size=48, intermediate_size=96, num_hidden_layers=LAYERS,
        num_attention_heads=4, max_position_embeddings=66, num_labels=3, initializer_range=0.2,
    )  # fmt: skip
    return transformers.RobertaForSequenceClassification(config)


ARCHITECTURES = {
    "distilbert": distilbert,
    "relu": lambda: distilbert("relu"),
    "bert": bert,
    "roberta": roberta,
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    torch.manual_seed(0)
    model = ARCHITECTURES[request.param]().eval()
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory / "model")
    destination = directory / "model.onnx"
    export_onnx(directory / "model", destination)
    return model, destination


def onnx_logits(path: Path, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Any:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]


def tokens(batch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng(batch).integers(5, VOCABULARY, (batch, length))


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 9), (4, 1), (5, 33)])
def test_logits_are_those_of_torch(exported: tuple[Any, Path], batch: int, length: int) -> None:
    model, path = exported
    ids = tokens(batch, length)
    mask = np.ones_like(ids)
    mask[1:, length // 2 + 1 :] = 0
    with torch.no_grad():
        expected = model(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits
    assert onnx_logits(path, ids, mask) == pytest.approx(expected.numpy(), abs=1e-5, rel=1e-4)


def test_padding_and_neighbours_do_not_change_logits(exported: tuple[Any, Path]) -> None:
    _, path = exported
    text, pad_id = tokens(1, 9), 1
    alone = onnx_logits(path, text, np.ones_like(text))
    ids = tokens(6, 40)
    mask = np.ones_like(ids)
    ids[0, :9], ids[0, 9:], mask[0, 9:] = text, pad_id, 0
    assert onnx_logits(path, ids, mask)[:1] == pytest.approx(alone, abs=1e-5)


def test_attention_is_fused_and_layer_normalization_is_not(exported: tuple[Any, Path]) -> None:
    graph = onnx.load(exported[1]).graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("MultiHeadAttention") == LAYERS
    assert "Softmax" not in operators
    assert "SkipLayerNormalization" not in operators


def test_the_last_layer_computes_only_the_position_that_is_read(
    exported: tuple[Any, Path],
) -> None:
    nodes = list(onnx.load(exported[1]).graph.node)
    readers = [node.op_type for node in nodes if nodes[-1].output[0] not in node.output]
    last_attention = len(readers) - 1 - readers[::-1].index("MultiHeadAttention")
    after = readers[last_attention:]
    assert "Squeeze" in after
    assert "Gather" not in after


def test_products_and_normalizations_see_no_padding(exported: tuple[Any, Path]) -> None:
    model = onnx.load(exported[1])
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    wide = [
        node.output[0]
        for node in model.graph.node
        if node.op_type == "LayerNormalization"
        or (node.op_type == "MatMul" and node.input[1] in matrices)
    ]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wide)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = tokens(5, 33)
    mask = (np.arange(33) < np.array([[33], [1], [7], [20], [2]])).astype(np.int64)
    values = session.run(wide, {"input_ids": ids, "attention_mask": mask})
    rows = [value.size // value.shape[-1] for value in values]
    # The last layer computes one row for each text but in its keys and values.
    last = rows.index(len(ids))
    assert rows[:last] == [mask.sum()] * last
    assert set(rows[last:]) == {len(ids), mask.sum()}
    assert last > LAYERS


def test_the_file_names_no_place_on_the_machine_that_exported(
    exported: tuple[Any, Path],
) -> None:
    content = exported[1].read_bytes()
    assert b"site-packages" not in content
    assert str(exported[1].parent).encode() not in content


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    distilbert().save_pretrained(tmp_path)
    capfd.readouterr()
    export_onnx(tmp_path, tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_directory_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="cannot load"):
        export_onnx(tmp_path, tmp_path / "model.onnx")
