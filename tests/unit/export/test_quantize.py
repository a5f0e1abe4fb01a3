from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx")

from serve_app.export.quantize import quantize_int8, quantized_weight  # noqa: E402

VOCABULARY = 200
OUTLIER_TOKEN = 7


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from serve_app.export.export import export_onnx  # noqa: PLC0415

    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=48, hidden_dim=96, n_layers=3, n_heads=4,
        max_position_embeddings=64, num_labels=3, initializer_range=0.2,
    )  # fmt: skip
    model = transformers.DistilBertForSequenceClassification(config)
    with torch.no_grad():
        model.distilbert.embeddings.word_embeddings.weight[OUTLIER_TOKEN, 3] = 1e4
    directory = tmp_path_factory.mktemp("model")
    model.save_pretrained(directory)
    paths = {name: directory / f"{name}.onnx" for name in ("fp32", "int8")}
    export_onnx(directory, paths["fp32"])
    quantize_int8(paths["fp32"], paths["int8"])
    return paths


def logits(path: Path, ids: NDArray[np.int64], mask: NDArray[np.int64] | None = None) -> Any:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else mask}
    return session.run(["logits"], feeds)[0]


def tokens(batch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng(batch).integers(10, VOCABULARY, (batch, length))


def test_int8_is_close_to_fp32(files: dict[str, Path]) -> None:
    ids = tokens(64, 20)
    expected = logits(files["fp32"], ids)
    error = np.abs(logits(files["int8"], ids) - expected)
    assert error.mean() < 0.1 * expected.std()


def test_embeddings_take_half_the_memory(files: dict[str, Path]) -> None:
    def kinds(path: Path) -> dict[str, int]:
        return {t.name: t.data_type for t in onnx.load(path).graph.initializer if len(t.dims) == 2}

    word = "distilbert.embeddings.word_embeddings.weight"
    assert kinds(files["fp32"])[word] == onnx.TensorProto.FLOAT
    assert word not in kinds(files["int8"])
    assert kinds(files["int8"])[f"{word}_fp16"] == onnx.TensorProto.FLOAT16


def test_a_text_scores_the_same_alone_and_beside_outliers(files: dict[str, Path]) -> None:
    text = tokens(1, 9)
    alone = logits(files["int8"], text)
    ids = np.full((8, 50), OUTLIER_TOKEN)
    mask = np.ones_like(ids)
    ids[3, :9], mask[3, 9:] = text, 0
    assert logits(files["int8"], ids, mask)[3:4] == pytest.approx(alone, abs=1e-5)


def test_most_products_are_int8_and_no_scale_spans_the_batch(files: dict[str, Path]) -> None:
    operators = [node.op_type for node in onnx.load(files["int8"]).graph.node]
    assert operators.count("MatMulIntegerToFloat") == 16
    assert operators.count("MatMul") == 2
    assert "DynamicQuantizeLinear" not in operators
    assert files["int8"].stat().st_size < files["fp32"].stat().st_size


def test_the_same_file_is_written_every_time(files: dict[str, Path], tmp_path: Path) -> None:
    quantize_int8(files["fp32"], tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == files["int8"].read_bytes()


@pytest.mark.parametrize("rows", [2, 47, 48])
def test_no_pair_of_products_overflows_int16(rows: int) -> None:
    weight = np.random.default_rng(rows).standard_normal((rows, 500)).astype(np.float32)
    weight[:2, :9] = 3  # The largest two of a column are neighbours with the same sign.
    quantized, scale = quantized_weight(weight)
    activations = np.full(rows + rows % 2, 255)
    padded = np.pad(quantized.astype(np.int64), ((0, rows % 2), (0, 0)))
    for sign in (-1, 1):
        products = activations[:, np.newaxis] * np.where(np.sign(padded) == sign, padded, 0)
        assert np.abs(products.reshape(-1, 2, 500).sum(axis=1)).max() <= np.iinfo(np.int16).max
    assert (np.abs(quantized * scale - weight) <= scale / 2 + 1e-6).all()


def test_a_column_of_zeros_stays_zero() -> None:
    quantized, scale = quantized_weight(np.zeros((4, 2), dtype=np.float32))
    assert not quantized.any()
    assert np.isfinite(scale).all()


def product_graph(opset: int) -> Any:
    """Return three products with constant matrices in a row."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.random.default_rng(0).standard_normal((3, 45, 45)).astype(np.float32)
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"]) for i in range(3)],
            "products",
            [helper.make_tensor_value_info("x0", kind, ["batch", "sequence", 45])],
            [helper.make_tensor_value_info("x3", kind, ["batch", "sequence", 45])],
            [onnx.numpy_helper.from_array(weight, f"w{i}") for i, weight in enumerate(weights)],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=10,
    )


def test_rows_of_zeros_stay_zero_in_a_graph_of_products_only(tmp_path: Path) -> None:
    onnx.save(product_graph(21), tmp_path / "fp32.onnx")
    quantize_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    rows = np.random.default_rng(1).standard_normal((2, 3, 45)).astype(np.float32)
    rows[0, 1] = 0
    expected, result = (
        ort.InferenceSession(tmp_path / name).run(None, {"x0": rows})[0]
        for name in ("fp32.onnx", "int8.onnx")
    )
    assert (result[0, 1] == 0).all()
    assert np.abs(result - expected).mean() < 0.05 * expected.std()


def test_an_older_opset_is_refused(tmp_path: Path) -> None:
    onnx.save(product_graph(20), tmp_path / "fp32.onnx")
    with pytest.raises(ValueError, match="opset 20"):
        quantize_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
