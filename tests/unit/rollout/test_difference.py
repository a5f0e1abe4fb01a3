from typing import Any

from serve_app.rollout.changes import difference


def secret(value: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token", **metadata},
        "data": {"token": value, "same": "c2FtZQ=="},
    }


def test_what_the_server_writes_is_no_difference() -> None:
    live = secret("YQ==", uid="1", generation=3, managedFields=[{}]) | {"status": {}}
    assert difference(live, secret("YQ==")) == ""


def test_a_secret_shows_that_it_changes_but_not_to_what() -> None:
    shown = difference(secret("YQ=="), secret("Yg=="))
    assert "+  token: hidden, changed" in shown
    assert "-  same" not in shown
    assert "YQ==" not in shown
    assert "Yg==" not in shown


def test_a_new_object_is_shown_whole() -> None:
    shown = difference(None, {"kind": "Namespace", "metadata": {"name": "n"}})
    assert shown.splitlines()[0] == "--- Namespace n (live)"
    assert "+kind: Namespace" in shown


def test_a_serve_configuration_is_compared_line_by_line() -> None:
    def service(max_texts: int) -> dict[str, Any]:
        config = f"applications:\n- name: a\n  max_texts: {max_texts}\n"
        return {"kind": "RayService", "metadata": {"name": "s"}, "spec": {"serveConfigV2": config}}

    changed = [
        line for line in difference(service(1), service(2)).splitlines()[3:] if line[0] in "+-"
    ]
    assert changed == ["-      max_texts: 1", "+      max_texts: 2"]
