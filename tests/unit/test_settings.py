import pytest
from pydantic import ValidationError

from serve_app.errors import InvalidConfig
from serve_app.settings import AppArgs, ClassifierSettings, GatewaySettings


@pytest.mark.parametrize(
    "url", ["memory://", "redis://localhost", "redis://h:6379/0", "rediss://h:10000", "env:CACHE"]
)
def test_known_caches_are_accepted(url: str) -> None:
    assert AppArgs(cache=url).cache == url


@pytest.mark.parametrize(
    "url",
    ["", "http://h", "redis://", "memory://x", "env:", "env:A-B", "redis://h:99999", "redis://[h"],
)
def test_unknown_caches_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        AppArgs(cache=url)


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@h", "redis://u:hunter2@h", "redis://h/0?password=hunter2"]
)
def test_a_password_in_a_file_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AppArgs(cache=url)
    assert "environment variable" in str(caught.value.errors(include_input=False))
    assert "hunter2" not in str(caught.value.errors(include_input=False))


def test_the_cache_url_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE", "rediss://:hunter2@h:10000/0")
    assert AppArgs(cache="env:CACHE").cache_url() == "rediss://:hunter2@h:10000/0"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE", raising=False)
    with pytest.raises(InvalidConfig, match=r"\$CACHE"):
        AppArgs(cache="env:CACHE").cache_url()


@pytest.mark.parametrize("url", ["hunter2", "redis://:pa[hunter2]ss@h", "redis://:hunter2\u2100@h"])
def test_a_bad_url_in_the_environment_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("CACHE", url)
    with pytest.raises(InvalidConfig) as caught:
        AppArgs(cache="env:CACHE").cache_url()
    assert "env:CACHE" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("model", ["embedded", "./m", "/m", "~/m", "a/b@" + "0" * 40])
def test_production_takes_directories_and_pinned_revisions(model: str) -> None:
    assert AppArgs(model=model, production=True).model_source() == model


def test_production_refuses_a_hub_model_without_a_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AppArgs(model="a/b").model_source() == "a/b"
    monkeypatch.setenv("MODEL", "a/b")
    for model in ("a/b", "env:MODEL", "a/b@", "a/b@main", "a/b@0123"):
        with pytest.raises(InvalidConfig, match="pinned revision of a/b"):
            AppArgs(model=model, production=True).model_source()


@pytest.mark.parametrize("settings", [GatewaySettings, ClassifierSettings])
def test_unknown_tunables_are_refused(settings: type[GatewaySettings | ClassifierSettings]) -> None:
    with pytest.raises(ValidationError):
        settings.model_validate({"max_text": 1})


@pytest.mark.parametrize(
    "tunable",
    [{"max_texts": 0}, {"deadline_s": float("inf")}, {"cache_ttl_jitter": 1}, {"cache_ttl_s": -1}],
)
def test_impossible_tunables_are_refused(tunable: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate(tunable)


@pytest.mark.parametrize("secret", ["hunter2", "sentiment_hunter2", "sha256:hunter2", "0" * 64])
def test_a_key_in_place_of_its_hash_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        GatewaySettings.model_validate({"api_keys": [secret]})
    assert "`sentiment key` prints" in str(caught.value.errors(include_input=False))
    assert "hunter2" not in str(caught.value.errors(include_input=False))


@pytest.mark.parametrize("origin", ["https://page.example", "http://127.0.0.1:3000", "*"])
def test_origins_are_what_browsers_send(origin: str) -> None:
    assert GatewaySettings.model_validate({"cors_origins": [origin]}).cors_origins == (origin,)


@pytest.mark.parametrize("origin", ["page.example", "https://page.example/", "null", "https://*"])
def test_other_origins_are_refused(origin: str) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate({"cors_origins": [origin]})


def test_room_for_less_than_one_body_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_pending_bytes must be at least max_body_bytes"):
        GatewaySettings(max_body_bytes=2, max_pending_bytes=1)
