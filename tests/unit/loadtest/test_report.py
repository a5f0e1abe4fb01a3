import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from loadtest.report.charts import PANELS
from loadtest.report.figures import rows
from loadtest.report.report import report
from loadtest.report.run import Run, read_run
from loadtest.results import SUMMARY, USAGE, RoleUsage, Usage, read_summary
from serve_app.cli.__main__ import app
from serve_app.errors import StartupError


@pytest.fixture(scope="module")
def observed_run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run, as if its service had been observed, while it got a second classifier."""
    # A name that must not become markup.
    directory = tmp_path_factory.mktemp("observed") / "<img src=x>"
    shutil.copytree(finished_run, directory)
    started_s = read_summary(directory).started_s
    lines = [
        Usage(
            time_s=started_s + second,
            ready=second > 0,
            cache="ok",
            roles={
                "gateway": RoleUsage(processes=1, rss_bytes=100 * 2**20, cores=0.5),
                "classifier": RoleUsage(processes=1 + second, rss_bytes=200 * 2**20, cores=0.25),
                "k6": RoleUsage(processes=1, rss_bytes=50 * 2**20, cores=0.125),
            },
        ).model_dump_json()
        for second in range(2)
    ]
    (directory / USAGE).write_text("\n".join(lines) + "\n")
    return directory


@pytest.fixture(scope="module")
def written(observed_run: Path) -> Path:
    """The directory of a report."""
    return report([observed_run], observed_run.parent / "out").parent


def values(run: Run) -> dict[tuple[str, str], float | None]:
    return {
        (row.figures[0].group, row.figures[0].label): row.figures[0].value for row in rows([run])
    }


def test_the_page_needs_no_other_file(written: Path) -> None:
    page = (written / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) == len(PANELS)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "@import" not in page
    assert "url(" not in page


def test_the_page_names_machine_versions_and_model(written: Path) -> None:
    page = (written / "report.html").read_text()
    for known in ("cores", "GiB", "k6 1.", "ray 2.60", "acme/tiny-sst2", "0123456789ab"):
        assert known in page


def test_what_a_directory_is_called_does_not_become_markup(written: Path) -> None:
    page = (written / "report.html").read_text()
    assert "&lt;img src=x&gt;" in page
    assert "<img src=x>" not in page


def test_each_panel_and_the_overview_are_pictures(written: Path) -> None:
    names = {f"report-{panel.name}.png" for panel in PANELS} | {"report.png"}
    assert {path.name for path in written.glob("*.png")} == names
    for name in names:
        with Image.open(written / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 300


def test_figures_come_from_the_observations(observed_run: Path) -> None:
    found = values(read_run(observed_run))
    assert found["Service", "ready within 1 s"] == 50
    assert found["Service", "most classifier replicas"] == 2
    assert found["Service", "memory at the end"] == pytest.approx(300)
    assert found["Service", "processor"] == pytest.approx(0.75)
    assert found["Client", "processor, k6"] == pytest.approx(0.125)


def test_a_service_that_nobody_observed_is_reported_on_without(
    finished_run: Path, tmp_path: Path
) -> None:
    assert report([finished_run], tmp_path).exists()
    assert ("Service", "most classifier replicas") not in values(read_run(finished_run))


def test_two_runs_are_compared_by_ratios(finished_run: Path, tmp_path: Path) -> None:
    faster = Path(shutil.copytree(finished_run, tmp_path / "faster"))
    summary = read_summary(faster)
    requests = summary.requests.model_copy(update={"per_second": 2 * summary.requests.per_second})
    twice = summary.model_copy(update={"requests": requests})
    (faster / SUMMARY).write_text(twice.model_dump_json())
    ratios = {
        row.figures[0].label: row.ratio
        for row in rows([read_run(finished_run), read_run(faster)])
        if row.figures[0].group in {"Throughput", "Requests"}
    }
    assert ratios["requests"] == pytest.approx(2)
    assert ratios["texts"] == pytest.approx(1)
    assert ratios["failed"] is None
    page = report([finished_run, faster], tmp_path).read_text()
    assert "× 2.00" in page  # noqa: RUF001 - the sign of multiplication is meant


def test_a_figure_that_only_one_run_has_stands_without_a_ratio(
    finished_run: Path, observed_run: Path
) -> None:
    table = rows([read_run(finished_run), read_run(observed_run)])
    (row,) = [row for row in table if row.figures[0].label == "most classifier replicas"]
    assert [figure.value for figure in row.figures] == [None, 2]
    assert row.ratio is None


def test_more_than_two_runs_are_refused(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="one run, or on two"):
        report([finished_run] * 3, tmp_path)


def test_an_output_that_is_a_file_is_refused(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"cannot write to .*File exists"):
        report([finished_run], tmp_path / "file")


def test_the_command_line_has_the_verb(finished_run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(finished_run), "--output", str(tmp_path)])
    assert done.exit_code == 0
    assert done.stderr == f"report: {tmp_path / 'report.html'}\n"
