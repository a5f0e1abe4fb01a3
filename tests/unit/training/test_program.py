import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("matplotlib")

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from training.__main__ import DESCRIPTION, main
from training.corpus import find_labels

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "model"


@pytest.fixture
def arguments(tsv: Path, base_directory: Path, output: Path) -> list[str]:
    return [
        *("--preset", "embedded", "--train", str(tsv), "--evaluate", f"dev={tsv}", f"more={tsv}"),
        *("--output", str(output), "--base-path", str(base_directory)),
        *("--epochs", "10", "--batch-size", "8", "--learning-rate", "1e-2", "--max-tokens", "64"),
        *("--average-decay", "0.5", "--precision", "no"),
        *("--joined", "4", "--joined-words", "10", "20", "--holdout-sentences", "4"),
    ]


def test_a_run_leaves_a_complete_model_directory(arguments: list[str], output: Path) -> None:
    assert main(arguments) == 0

    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["evaluation"].keys() == {"dev", "more"}
    assert metrics["evaluation"]["dev"]["examples"] == 40
    assert metrics["evaluation"]["dev"]["accuracy"] > 0.9
    assert metrics["recipe"]["epochs"] == 10
    assert metrics["held_out_sentences"] == 4
    assert "--base-path base0" in metrics["command"]
    assert str(output.parent) not in (output / "README.md").read_text() + json.dumps(metrics)
    for plot in ("confusion.png", "reliability.png"):
        assert (output / plot).read_bytes().startswith(PNG_SIGNATURE)


def test_the_saved_model_loads_and_classifies(arguments: list[str], output: Path) -> None:
    main(arguments)

    model = AutoModelForSequenceClassification.from_pretrained(output).eval()
    tokenizer = AutoTokenizer.from_pretrained(output)

    assert type(model).__name__ == "DistilBertForSequenceClassification"
    saved = json.loads((output / "tokenizer.json").read_text())
    assert saved["truncation"] is saved["padding"] is None
    assert tokenizer.model_max_length == 64
    with torch.no_grad():
        logits = model(**tokenizer("the film is very good", return_tensors="pt")).logits
    assert model.config.id2label[int(logits.argmax())] == "POSITIVE"


def test_a_finished_model_is_refined(
    arguments: list[str], output: Path, tsv: Path, tmp_path: Path
) -> None:
    assert main([*arguments, "--epochs", "1"]) == 0
    refined = tmp_path / "refined"
    settings = [
        "--preset",
        "embedded",
        "--convert",
        "false",
        "--average",
        "uniform",
        "--epochs",
        "2",
        "--train",
        str(tsv),
        "--evaluate",
        f"dev={tsv}",
    ]
    settings += ["--base-path", str(output), "--output", str(refined), "--max-tokens", "64"]
    settings += ["--joined-words", "10", "20", "--holdout-sentences", "4", "--precision", "no"]

    assert main([*settings, "--joined", "4", "--batch-size", "8", "--average-from", "2"]) == 0

    metrics = json.loads((refined / "metrics.json").read_text())
    assert metrics["recipe"]["average"] == "uniform"
    assert len(metrics["history"]) == 8
    assert f"--base-path {output.name}" in metrics["command"]


def test_three_labels_are_learned_by_their_names(
    base_directory: Path, output: Path, tmp_path: Path
) -> None:
    path = tmp_path / "three.tsv"
    texts = {"good": "positive", "bad": "negative", "fine": "neutral"}
    rows = [f"the film is very {word} {end}\t{texts[word]}" for word in texts for end in ".a"]
    path.write_text("\n".join(["text\tlabel", *rows * 12]) + "\n")
    arguments = ["--preset", "quick", "--train", str(path), "--evaluate", f"dev={path}"]
    arguments += ["--base-path", str(base_directory), "--output", str(output)]
    settings = ["--epochs", "10", "--batch-size", "8", "--learning-rate", "1e-2"]
    assert main([*arguments, *settings, "--max-tokens", "64", "--layer-decay", "1"]) == 0

    config = json.loads((output / "config.json").read_text())
    assert list(config["id2label"].values()) == ["negative", "neutral", "positive"]
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["evaluation"]["dev"]["accuracy"] > 0.6
    assert len(metrics["evaluation"]["dev"]["confusion"]) == 3
    card = (output / "README.md").read_text()
    assert "its labels are negative, neutral, positive" in card
    assert "recall neutral" in card
    assert "two labels" not in card
    assert "sst2" not in card
    assert main([*arguments, *settings, "--joined", "4"]) == 1


def test_numbers_are_named_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "numbers.tsv"
    path.write_text("text\tlabel\ngood\t2\nso-so\t1\nbad\t0\n")
    arguments = ["--preset", "quick", "--train", str(path), "--evaluate", f"dev={path}"]
    arguments += ["--output", str(tmp_path / "model")]
    assert main(arguments) == 1
    assert "--labels negative neutral positive" in capsys.readouterr().err
    absent = ["--labels", "negative", "neutral", "positive", "--base-path", "./absent"]
    assert main([*arguments, *absent]) == 1
    assert "cannot load ./absent" in capsys.readouterr().err


def without_the_extra(*arguments: str) -> subprocess.CompletedProcess[str]:
    names = "'torch', 'transformers', 'accelerate', 'sklearn', 'scipy', 'matplotlib'"
    hide = f"import runpy, sys; sys.modules |= dict.fromkeys([{names}])"
    code = f"{hide}; runpy.run_module('training', run_name='__main__')"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_needs_nothing_and_says_what_a_run_needs() -> None:
    done = without_the_extra("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--base-path" in done.stdout
    assert "Before a run, it needs torch, transformers," in done.stdout
    assert "pip install -c constraints.txt -e '.[training]'" in done.stdout


def test_a_run_without_the_extra_says_how_to_install_it() -> None:
    done = without_the_extra(
        *("--preset", "quick", "--train", "a.tsv", "--evaluate", "dev=a.tsv", "--output", "out")
    )
    assert done.returncode == 1
    problem, hint = done.stderr.splitlines()
    assert problem.startswith("training: it needs torch, transformers,")
    assert hint == "hint: in a checkout: pip install -c constraints.txt -e '.[training]'"


def test_the_example_of_the_help_names_files_that_are_there() -> None:
    root = Path(__file__).parents[3]
    for path in re.findall(r"training/example/\w+\.tsv", DESCRIPTION):
        assert find_labels(root / path) == ("negative", "neutral", "positive")


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("--train absent.tsv", "no data file at absent.tsv: pass an existing TSV file"),
        ("--epochs 0", "--epochs: Input should be greater than or equal to 1"),
        (
            "--joined-purity-negative x y",
            "--joined-purity-negative: Input should be a valid number",
        ),
        ("--least-words 99", "no training text has 99 words: lower --least-words"),
        ("--base-path absent/model/", "cannot load absent/model/: pass a model directory"),
        ("--labels good", "--labels: name two labels at least"),
        ("--labels good good", "--labels: name each label once"),
        ("--resume", "omit --resume"),
    ],
)
def test_mistakes_are_explained_in_one_line(
    arguments: list[str], mistake: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *mistake.split()]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("training: ")
    assert message in error


def test_an_evaluation_set_needs_a_name(tsv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--preset", "embedded", "--train", str(tsv), "--evaluate", str(tsv)])
    assert "is not of the form NAME=PATH" in capsys.readouterr().err
