import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster

from serve_app.client import Prediction
from serve_app.files.local import LocalScorer

pytestmark = [pytest.mark.serve, pytest.mark.slow]

ROWS = 12_000
DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


def test_a_run_on_ray_survives_its_actors_and_goes_on_after_its_death(tmp_path: Path) -> None:
    texts = [f"text {n} is {'good' if n % 3 else 'bad'}" for n in range(ROWS)]
    [documented] = re.findall("^sentiment batch (.*)$", DOCUMENT.read_text(), re.MULTILINE)
    source, target = (tmp_path / name for name in documented.split())
    pq.write_table(pa.table({"id": range(ROWS), "text": texts}), source)
    command = [sys.executable, "-m", "serve_app.cli", "batch", *documented.split()]

    first = subprocess.Popen(command, cwd=tmp_path, env=environment(), start_new_session=True)
    wait_for_parts(target, 1, first)
    actors = [
        process
        for process in psutil.Process(first.pid).children(recursive=True)
        if "MapWorker" in process.name() or "MapWorker" in " ".join(process.cmdline())
    ]
    assert actors
    actors[0].kill()
    wait_for_parts(target, 3, first)
    family = [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]
    for process in family:
        process.kill()
    first.wait()
    psutil.wait_procs(family, timeout=30)
    before = {part.name: part.read_bytes() for part in target.glob("*.parquet")}
    assert 3 <= len(before) < 6

    second = subprocess.run(
        [*command, "--resume"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert second.returncode == 0, second.stderr
    assert second.stderr.splitlines() == [
        "starting Ray on this machine",
        f"{ROWS} rows are in {target.name}/",
    ]
    assert all((target / name).read_bytes() == content for name, content in before.items())
    rows = pq.read_table(target).to_pylist()
    assert [row["id"] for row in rows] == list(range(ROWS))
    assert [row["text"] for row in rows] == texts
    sample = rows[:: ROWS // 50]
    expected = LocalScorer("embedded", "auto", print).score([row["text"] for row in sample])
    for row, prediction in zip(sample, expected, strict=True):
        assert isinstance(prediction, Prediction)
        assert row["predicted_label"] == prediction.label
        for label, score in prediction.scores.items():
            assert row[f"score_{label}"] == pytest.approx(score, abs=1e-6)


def test_a_run_joins_a_cluster_of_several_nodes(tmp_path: Path) -> None:
    texts = [f"text {n} is {'good' if n % 3 else 'bad'}" for n in range(ROWS)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    cluster: Any = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    address: str = cluster.address
    try:
        cluster.add_node(num_cpus=1)
        run = subprocess.run(
            [sys.executable, "-m", "serve_app.cli", "batch", "in.parquet", "out"],
            cwd=tmp_path, env=environment() | {"RAY_ADDRESS": address},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        cluster.shutdown()
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[0] == f"joining the Ray cluster {address}"
    assert [row["text"] for row in pq.read_table(tmp_path / "out").to_pylist()] == texts


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


def wait_for_parts(target: Path, count: int, running: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while len(list(target.glob("*.parquet"))) < count:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
