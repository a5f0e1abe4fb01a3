import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from loadtest.ports import free_port
from serve_app.cli.__main__ import app
from serve_app.cli.help import API_KEY
from serve_app.errors import Unauthorized
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService
from tests.contract.server import hosted, serving

PREDICT = [sys.executable, "-m", "serve_app.cli", "predict"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    service = HashService(GatewaySettings(), None, hangs=False, state=READY, model=MODEL)
    with serving(hosted(service)) as served:
        yield served


@pytest.fixture
def environment() -> dict[str, str]:
    # Rich and tqdm take these for what the terminal is.
    kept = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR"}}
    return {**kept, "NO_PROXY": "127.0.0.1", "COLUMNS": "120"}


@pytest.fixture
def run(url: str, environment: dict[str, str]) -> Run:
    """Return a function that runs the command against the service."""

    def command(*arguments: str | Path, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*PREDICT, "--url", url, *arguments],
            input=given, capture_output=True, text=True, check=False, env=environment, timeout=60,
        )  # fmt: skip

    return command


def rows(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_texts_lines_and_files_get_the_same_scores(run: Run, tmp_path: Path) -> None:
    texts = ["I love this!", "What a waste.", "naïve ☕"]
    by_argument = run(*texts)
    assert (by_argument.returncode, by_argument.stderr) == (0, "")
    assert [row["text"] for row in rows(by_argument.stdout)] == texts
    assert run(given="\n".join(texts)).stdout == by_argument.stdout
    source = tmp_path / "in.csv"
    source.write_text("\n".join(["text", *texts]))
    target = tmp_path / "out.jsonl"
    by_file = run("-i", source, "-o", target)
    assert (by_file.returncode, by_file.stdout, by_file.stderr) == (0, "", "")
    assert target.read_text() == by_argument.stdout


def test_rows_without_scores_are_told_by_the_exit_code(run: Run) -> None:
    done = run(given=f"good\n{'x' * 40_000}\ngood\n")
    assert done.returncode == 9
    assert done.stderr == "rows without scores: 1; the column prediction_error says why\n"
    errors = [row["prediction_error"] for row in rows(done.stdout)]
    assert errors == [None, "the text has 40000 characters, at most 32768 are accepted", None]


def test_rows_without_scores_are_told_though_an_earlier_run_has_written_them(
    run: Run, tmp_path: Path
) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.csv"
    source.write_text(f"one\n{'x' * 40_000}\n")
    assert run("-i", source, "-o", target).returncode == 9
    source.write_text(source.read_text() + "three\n")
    resumed = run("-i", source, "-o", target, "--resume")
    assert resumed.returncode == 9
    assert resumed.stderr == "rows without scores: 1; the column prediction_error says why\n"


def test_a_run_may_stop_at_the_first_row_without_scores_and_go_on(run: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text(f"one\ntwo\n{'x' * 40_000}\nfour\n")
    stopped = run("-i", source, "-o", target, "--on-error", "stop")
    assert stopped.returncode == 1
    assert stopped.stderr.splitlines()[0].startswith("error: row 3: the text has 40000 characters")
    assert stopped.stderr.splitlines()[1].startswith("hint: correct it and go on with --resume")
    assert [row["text"] for row in rows(target.read_text())] == ["one", "two"]
    source.write_text("one\ntwo\nthree\nfour\n")
    assert run("-i", source, "-o", target, "--resume").returncode == 0
    assert [row["text"] for row in rows(target.read_text())] == ["one", "two", "three", "four"]


def test_a_run_that_is_killed_goes_on_where_it_was(
    url: str, run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    source, whole, target = tmp_path / "in.csv", tmp_path / "whole.csv", tmp_path / "out.csv"
    source.write_text("id,text\n" + "".join(f'{n},"text\n{n}"\n' for n in range(5_000)))
    assert run("-i", source, "-o", whole).returncode == 0
    killed = subprocess.Popen([*PREDICT, "--url", url, "-i", source, "-o", target], env=environment)
    while not target.exists() or target.stat().st_size < 10_000:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert 0 < target.stat().st_size < whole.stat().st_size
    assert run("-i", source, "-o", target, "--resume").returncode == 0
    assert target.read_bytes() == whole.read_bytes()


def test_an_interrupted_run_says_how_to_go_on(
    url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "out.jsonl"
    with subprocess.Popen(
        # pytest-xdist starts its workers with SIGINT ignored, which a child inherits.
        ["env", "--default-signal=INT", *PREDICT, "--url", url, "-o", target],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as running:  # fmt: skip
        assert running.stdin and running.stderr
        running.stdin.write("text\n" * 1000)
        running.stdin.flush()
        while not target.exists() or not target.stat().st_size:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        assert running.stderr.read() == "interrupted; go on with --resume\n"
        assert running.wait() == 130


def test_a_reader_that_leaves_is_no_error(url: str, environment: dict[str, str]) -> None:
    command = " ".join([*PREDICT, "--url", url])
    piped = subprocess.run(
        ["bash", "-c", f"yes 'a text' | {command} | head -n 1; echo ${{PIPESTATUS[1]}}"],
        capture_output=True, text=True, check=True, env=environment, timeout=60,
    )  # fmt: skip
    row, status = piped.stdout.splitlines()
    assert json.loads(row)["text"] == "a text"
    assert (status, piped.stderr) == ("141", "")


def test_a_service_that_is_down_is_told_at_once(run: Run) -> None:
    down = run("--url", f"http://127.0.0.1:{free_port()}", "a")
    problem, hint = down.stderr.splitlines()
    assert down.returncode == 1
    assert "Connection refused" in problem
    assert hint.startswith("hint: start a service with `sentiment serve`")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ALL_PROXY": "socks5://user:s3cret@127.0.0.1:9"}, ["$ALL_PROXY", "install socksio"]),
        ({"HTTP_PROXY": "ftp://user:s3cret@127.0.0.1:9"}, ["$HTTP_PROXY", "http://host:port"]),
        ({"HTTP_PROXY": "http://user:s3cret@127.0.0.1:9"}, ["refused", "proxy of $HTTP_PROXY"]),
    ],
)
def test_a_proxy_that_does_not_serve_is_named_without_its_password(
    environment: dict[str, str], variables: dict[str, str], said: list[str]
) -> None:
    kept = {name: value for name, value in environment.items() if "PROXY" not in name.upper()}
    done = subprocess.run(
        [*PREDICT, "--url", "http://service.example", "a"],
        capture_output=True, text=True, check=False, env=kept | variables, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "s3cret" not in done.stderr
    for line, expected in zip(done.stderr.splitlines(), said, strict=True):
        assert expected in line


def test_a_service_on_this_machine_is_not_asked_through_a_proxy(
    url: str, environment: dict[str, str]
) -> None:
    kept = {name: value for name, value in environment.items() if "PROXY" not in name.upper()}
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}
    for name in ("127.0.0.1", "localhost"):
        command = [*PREDICT, "--url", url.replace("127.0.0.1", name), "a"]
        subprocess.run(command, check=True, capture_output=True, env=kept | proxies, timeout=60)


def test_another_server_is_told(run: Run, url: str) -> None:
    other = run("--url", f"{url}/project", "a")
    assert other.returncode == 1
    assert other.stderr.splitlines()[0].startswith("error: 404 Not found")
    assert "without /project" in other.stderr.splitlines()[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "-i", "b.csv"], "not both"),
        (["a", "--resume"], "--output"),
        (["a", "--engine", "magic", "--local"], "onnx-int8"),
        (["a", "--url", "localhost:8000"], "http://"),
        (["a", "-o", "a.csv", "--output-format", "text", "--local"], "standard output"),
        (["a", "--url", "http://127.0.0.1:abc"], "Invalid port: 'abc'"),
        (["a", "--url", "http://[::1"], "is not a URL"),
        (["a", "--model", "embedded"], "add --local"),
        (["a", "--engine", "torch"], "add --local"),
        (["a", "--engine", "simulated", "--local"], "is not one of"),
        (["a", "--input-format", "csv"], "not for arguments"),
        (["-i", "reviews.json"], "--input-format"),
        (["-i", "reviews.json.gz"], "--input-format"),
        (["a", "-o", "scored.csv.gz", "--local"], "not packed"),
        (["a", "-o", "scored.parquet", "--local"], "written as tsv, csv or jsonl"),
        (["a", "--output-format", "parquet", "--local"], "written as tsv, csv or jsonl"),
    ],
)
def test_wrong_usage_has_an_exit_code_of_its_own(arguments: list[str], said: str) -> None:
    refused = CliRunner().invoke(app, ["predict", *arguments], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert said in refused.output


@pytest.mark.parametrize("key", ["abc\ndef", "schlüssel"])
def test_a_key_that_no_header_carries_is_told_and_not_shown(key: str) -> None:
    refused = CliRunner().invoke(app, ["predict", "a"], env={"COLUMNS": "200", API_KEY: key})
    assert refused.exit_code == 2
    assert "the API key has characters that are not printable ASCII" in refused.output
    assert not set(key.split()) & set(refused.output.split())


def test_the_format_of_any_name_may_be_told(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "reviews.log"
    source.write_text("good\n")
    assert run("-i", source, "--input-format", "text").returncode == 0


def test_packed_and_columnar_files_are_read(run: Run, tmp_path: Path) -> None:
    texts = ["I love this!", "naïve ☕"]
    expected = run(*texts).stdout
    packed, columnar = tmp_path / "in.csv.gz", tmp_path / "in.parquet"
    packed.write_bytes(gzip.compress("\n".join(["text", *texts]).encode("utf-16")))
    pq.write_table(pa.table({"text": texts}), columnar)
    assert rows(run("-i", columnar).stdout) == rows(expected)
    assert rows(run("-i", packed, "--output-format", "jsonl").stdout) == rows(expected)
    assert run("-i", packed, "-o", tmp_path / "scored.jsonl").returncode == 0
    assert rows((tmp_path / "scored.jsonl").read_text()) == rows(expected)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("in.csv", b'id,text\n1,"open\n2,b\n', ["begins on line 2 has a quote", "twice"]),
        ("in.csv", "text\ncafé\n".encode("latin-1"), ["line 2 has the byte 0xE9", "iconv"]),
        ("in.xlsx", b"PK\x03\x04", ["a zip archive or an .xlsx workbook", "CSV (UTF-8)"]),
    ],
)
def test_a_file_that_cannot_be_read_rightly_is_refused_in_a_line_and_a_hint(
    run: Run, tmp_path: Path, name: str, content: bytes, said: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    refused = run("-i", tmp_path / name)
    assert refused.returncode == 1
    for line, expected in zip(refused.stderr.splitlines(), said, strict=True):
        assert expected in line


def test_an_input_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    missing = run("-i", tmp_path / "missing.csv")
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: cannot read")


def test_the_output_of_another_input_is_not_resumed(run: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("one\n")
    assert run("one", "two", "-o", target).returncode == 0
    refused = run("-i", source, "-o", target, "--resume")
    assert refused.returncode == 1
    assert "more than the input" in refused.stderr


def test_a_person_at_a_terminal_gets_plain_coloured_lines(
    url: str, environment: dict[str, str]
) -> None:
    shown, terminal = pty.openpty()
    hostile = "red \x1b[31m text"
    with subprocess.Popen(
        [*PREDICT, "--url", url, hostile], stdin=terminal, stdout=terminal, env=environment
    ) as running:
        assert running.wait(60) == 0
    os.close(terminal)
    output = os.read(shown, 10_000).decode()
    os.close(shown)
    assert "\x1b[1m" in output
    assert "\x1b[31m" not in output
    assert "red \\x1b[31m text" in output
    assert "predicted_label" not in output


HOSTILE = "a\x1b]0;owned\x07\x9b31m\u202egpj.exe\u2066\r\n"
COMMANDS = set("\x1b\x07\x9b\u202e\u2066\r")


def test_a_column_commands_no_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "hostile.jsonl"
    path.write_text(json.dumps({HOSTILE: "good"}))
    done = run("--input", path)
    assert done.returncode == 1
    assert "\\x1b]0;owned\\x07" in done.stderr
    assert not COMMANDS & set(done.stderr)


def test_a_file_name_commands_no_terminal(run: Run, tmp_path: Path) -> None:
    for name in (f"{HOSTILE}.foo", f"{HOSTILE}.csv"):
        done = run("--input", tmp_path / name)
        assert done.returncode in {1, 2}
        assert not COMMANDS & set(done.stdout + done.stderr)


def test_labels_and_reasons_of_a_service_command_no_terminal(
    run: Run, environment: dict[str, str]
) -> None:
    model = MODEL._replace(labels=(HOSTILE, f"{HOSTILE}!"))
    service = HashService(GatewaySettings(max_chars=3), None, False, READY, model)
    refusing = HashService(GatewaySettings(), Unauthorized(HOSTILE), False, READY, MODEL)
    for each, status in ((service, 9), (refusing, 1)):
        with serving(hosted(each)) as url:
            done = run("--url", url, "--output-format", "text", "abc", "too long")
        assert done.returncode == status
        assert "\\u202e" in done.stdout + done.stderr
        assert not COMMANDS & set(done.stdout + done.stderr)


def test_a_progress_bar_is_for_a_terminal(
    url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("text\n" * 1000)
    shown, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    command = [*PREDICT, "--url", url, "-i", str(source), "-o", str(tmp_path / "out.csv")]
    with subprocess.Popen(command, stderr=terminal, env=environment) as running:
        assert running.wait(60) == 0
    os.close(terminal)
    assert b"1000 rows" in os.read(shown, 100_000)
    os.close(shown)


def test_the_help_has_examples_and_exit_codes(run: Run) -> None:
    shown = run("--help").stdout
    for said in ("Examples:", "--resume", "Exit codes:", "141"):
        assert said in shown
    assert "\x1b" not in shown
