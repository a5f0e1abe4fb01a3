"""Names of cached scores: one per text, model revision and engine."""

from hashlib import blake2b

from serve_app.settings import EngineName

PREFIX = "sentiment"
KEY_VERSION = 1
TEXT_DIGEST_BYTES = 16


class KeySpace:
    """The keys of one model on one engine.

    A key is `sentiment:<key version>:<model digest>:<engine>:` followed by the 16 raw bytes of
    the text's blake2b. Two models or two engines never share a key: the last part has a fixed
    length and an engine's name has no colon, so that a key can be read in one way only. Several
    revisions can therefore use one Redis at the same time, as they do during a rollout.

    Args:
        digest: Digest of the model's content, `ModelIdentity.digest`.
        engine: Engine that computes the scores; engines differ in the last digits.
    """

    def __init__(self, digest: str, engine: EngineName) -> None:
        self._prefix = f"{PREFIX}:{KEY_VERSION}:{digest}:{engine}:".encode()

    def key(self, text: str) -> bytes:
        """Return the key under which the text's scores are cached.

        Args:
            text: A text as the client sent it; no normalization, since the model sees none.

        Raises:
            UnicodeEncodeError: The text holds a lone surrogate.
        """
        return self._prefix + blake2b(text.encode(), digest_size=TEXT_DIGEST_BYTES).digest()
