import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

from serve_app.gateway.readiness import Readiness
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, KeyedTexts, StageTimes, TextLogits
from serve_app.settings import EngineName, GatewaySettings

MODEL = ModelIdentity(
    path=Path("models/tiny"),
    model_id="acme/tiny-sst2",
    revision="0123456789ab",
    digest="0123456789abcdef",
    labels=("NEGATIVE", "POSITIVE"),
    max_tokens=512,
    pad_id=0,
)
READY = Readiness(model="ok", cache="ok")
TIMES = StageTimes(cache=0.25, queue=1.5, inference=12.0)


def logits_of(text: str) -> tuple[float, ...]:
    """Return two float32 values that depend on every byte of the text."""
    digest = hashlib.blake2b(text.encode(), digest_size=2).digest()
    return tuple((byte - 128) / 16 for byte in digest)


def label_of(text: str) -> str:
    """Return the best label; of equal scores, the service puts the first one first."""
    logits = logits_of(text)
    return MODEL.labels[logits.index(max(logits))]


class HashService:
    """Scores a text by its hash, counts a text seen before as a hit, and fails when told to."""

    engine: EngineName = "onnx-int8"

    def __init__(
        self,
        settings: GatewaySettings,
        fails_with: Exception | None = None,
        hangs: bool = False,
        state: Readiness = READY,
        model: ModelIdentity = MODEL,
    ) -> None:
        self.settings = settings
        self.model = model
        self.remembers = True
        self.asked_within_s: list[float] = []
        self._fails_with = fails_with
        self._hangs = hangs
        self._state = state
        self._seen: set[str] = set()

    def keyed(self, texts: Sequence[str]) -> KeyedTexts:
        return KeyedTexts(texts, {text: text.encode() for text in texts})

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        self.asked_within_s.append(within_s)
        await self._obey()
        return self._found(keyed.texts)

    def get_cached(self, keyed: KeyedTexts) -> Classification | None:
        """Have everything in memory, or nothing where that is to be seen, to fail or to hang."""
        forgets = self._hangs or self._fails_with or not self.remembers
        return None if forgets else self._found(keyed.texts)

    def _found(self, texts: Sequence[str]) -> Classification:
        hits = sum(text in self._seen for text in texts)
        self._seen.update(texts)
        return Classification(
            logits=[
                TextLogits(logits_of(text), truncated=len(text.split()) > self.model.max_tokens)
                for text in texts
            ],
            hits=hits,
            misses=len(texts) - hits,
            times=TIMES,
        )

    async def readiness(self) -> Readiness:
        await self._obey()
        return self._state

    async def _obey(self) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        if self._fails_with is not None:
            raise self._fails_with
