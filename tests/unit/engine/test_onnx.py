import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from serve_app.engine.engine import OnnxEngine


def test_onnx_runtime_keeps_no_identity_of_the_machine(tmp_path: Path) -> None:
    # It also keeps quiet where it finds that it runs in CI, hence the empty environment.
    subprocess.run(
        [sys.executable, "-c", "import serve_app.engine.engine"],
        env={"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])},
        check=True,
    )
    assert list(tmp_path.rglob("*")) == []


def onnx_file(path: Path, location: str, operator: str = "Gemm", domain: str = "") -> Path:
    """Write a graph whose weights are in another file."""
    weights = TensorProto(
        name="weights",
        data_type=TensorProto.FLOAT,
        dims=[2, 2],
        data_location=TensorProto.EXTERNAL,
    )
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        weights.external_data.add(key=key, value=value)
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node(operator, ["floats", "weights"], ["logits"], domain=domain),
    ]
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", 2])
        for name in ("input_ids", "attention_mask")
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", 2])
    graph = helper.make_graph(nodes, "graph", ids, [logits], [weights])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("foreign", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


def loaded(path: Path) -> OnnxEngine:
    return OnnxEngine(path, "onnx-fp32", pad_id=0, threads=1)


def test_a_graph_reads_no_file_out_of_its_directory(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(16))
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "own").write_bytes(bytes(16))
    (directory / "link").symlink_to(secret)
    file = directory / "onnx-fp32.onnx"
    assert loaded(onnx_file(file, "own")).logits([[1, 2]]).tolist() == [[0, 0]]
    for location in ("../secret", str(secret), "link", f"/proc/{os.getpid()}/environ"):
        with pytest.raises(Exception, match="External data path validation failed"):
            loaded(onnx_file(file, location))


def test_a_graph_with_an_operator_of_its_own_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "own").write_bytes(bytes(16))
    with pytest.raises(Exception, match="is not a registered function/op"):
        loaded(onnx_file(tmp_path / "model.onnx", "own", "Run", "foreign"))
