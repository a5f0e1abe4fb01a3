"""A model in this process as a scorer of texts, apart from what scoring over HTTP imports."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from serve_app.api.formats import fragment
from serve_app.classifier.scheduler import companions
from serve_app.client.request import Budget
from serve_app.client.results import prediction
from serve_app.engine.load import load
from serve_app.engine.tokenizer import Tokenizer, Tokens
from serve_app.errors import InferenceFailed
from serve_app.export.prepare import resolve_engine
from serve_app.files.reader import Failed, Outcome, is_utf8
from serve_app.model.store import resolve
from serve_app.settings import ClassifierSettings, EngineChoice

# Enough texts to find others of like length among them: of 512 product reviews at a time, 8 % more
# time goes into padding and small passes than of 2048.
BUDGET: Final = Budget(texts=2048, bytes=2 * 1024 * 1024)


class LocalScorer:
    """A model in this process, on one thread for each call of `score`.

    Args:
        source: Where the model comes from; see `serve_app.model.store.resolve`.
        engine: What runs it.
        report: Told in a line what is being done, where the model has to be prepared.

    Raises:
        ModelUnusable: The model or the engine cannot be had.
    """

    budget = BUDGET

    def __init__(self, source: str, engine: EngineChoice, report: Callable[[str], None]) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        model = resolve(source)
        self.labels = model.labels
        self._tokenizer = Tokenizer(model)
        self._engine = load(model, resolve_engine(model, engine, report), threads=1)

    def refusal(self, text: str) -> str:
        """Accept any length; see `Scorer.refusal`."""
        return "" if is_utf8(text) else "has no UTF-8 form"

    def score(self, texts: Sequence[str]) -> list[Outcome]:
        """Run the model over texts of like length at a time; see `Scorer.score`."""
        tokens = self._tokenizer.encode(texts)
        outcomes: dict[int, Outcome] = {}
        for batch in passes([len(each.ids) for each in tokens]):
            scored = self._run([tokens[index] for index in batch])
            outcomes.update(zip(batch, scored, strict=True))
        return [outcomes[index] for index in range(len(texts))]

    def _run(self, tokens: list[Tokens]) -> list[Outcome]:
        try:
            logits = self._engine.logits([each.ids for each in tokens])
        except Exception as error:
            if len(tokens) > 1:
                return [outcome for each in tokens for outcome in self._run([each])]
            return [Failed(f"the model could not score the text: {type(error).__name__}")]
        return [
            self._outcome(tuple(row.tolist()), each.truncated)
            for row, each in zip(logits, tokens, strict=True)
        ]

    def _outcome(self, logits: tuple[float, ...], truncated: bool) -> Outcome:
        try:
            # What the service would answer, so that both ways agree to the last digit.
            labels = json.loads(fragment(self.labels, logits, "softmax", None))
        except InferenceFailed as error:
            return Failed(error.detail)
        return prediction(labels, truncated)


def passes(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Divide texts into passes through the model, each of texts of like length.

    Args:
        lengths: Tokens of each text.

    Yields:
        Indices of the texts of a pass.
    """
    most = ClassifierSettings().max_batch_tokens
    waiting = sorted(range(len(lengths)), key=lengths.__getitem__)
    while waiting:
        chosen = companions([lengths[index] for index in waiting], most)
        yield [waiting[position] for position in chosen]
        taken = set(chosen)
        waiting = [index for position, index in enumerate(waiting) if position not in taken]
