import re
from pathlib import Path

import pytest

from tests.documentation.markdown import DOCUMENTS, ROOT, anchors, links, named

CARD = ROOT / "models" / "embedded" / "README.md"


@pytest.mark.parametrize("document", [*DOCUMENTS, CARD], ids=named)
def test_links_lead_to_files_and_headings_that_are_there(document: Path) -> None:
    assert [link for link in links(document) if not leads_somewhere(document, link)] == []


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    if "://" in path:
        # Nothing outside is asked, but what is not encrypted is no link to give.
        return path.startswith("https://")
    target = (document.parent / path).resolve() if path else document
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target))


def test_every_document_is_found_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        reached.add(document)
        targets = {(document.parent / link.partition("#")[0]).resolve() for link in links(document)}
        waiting += [target for target in targets & set(DOCUMENTS) if target not in reached]
    assert set(DOCUMENTS) - reached == set()


def test_a_heading_has_the_anchor_that_github_gives_it(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# A `code`, and more!\n\n## Again\n\n## Again\n")
    assert anchors(document) == {"a-code-and-more", "again", "again-1"}


def test_every_folder_of_tests_is_explained() -> None:
    table = (ROOT / "docs" / "development.md").read_text()
    explained = re.findall(r"^\| `tests/(\w+)` \|", table, flags=re.MULTILINE)
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("*.py"))}
    # What mirrors the package has folders of its own.
    assert {*explained} == folders | {"unit"}
