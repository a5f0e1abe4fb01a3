"""Scoring of texts by a model in this process, which needs the packages of the service."""

import json
import os
from collections.abc import Callable, Iterator, Sequence

from serve_app.api.formats import label_scores
from serve_app.classifier.scheduler import select_batch
from serve_app.client.request import Budget
from serve_app.client.results import prediction
from serve_app.decoding import NOT_UTF8, is_utf8
from serve_app.engine.engine import load_engine
from serve_app.engine.tokenizer import Tokenizer, Tokens
from serve_app.errors import InferenceFailed
from serve_app.export.prepare import resolve_engine
from serve_app.files.reader import Failure, Outcome
from serve_app.model.store import resolve
from serve_app.settings import ClassifierSettings, EngineChoice


class LocalScorer:
    """A model in this process, on one thread for each call of `score`.

    `progress` is called with a line for each step, where the model has to be prepared. Raises
    `ModelUnusable` if the model or the engine is missing.
    """

    # Enough texts to find others of similar length among them: with 512 product reviews in place
    # of 2048, padding and small batches take 8 % more time.
    budget = Budget(texts=2048, bytes=2 * 1024 * 1024)

    def __init__(self, name: str, engine: EngineChoice, progress: Callable[[str], None]) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        model = resolve(name)
        self.labels = model.labels
        self._transform = model.transform
        self._engine = load_engine(model, resolve_engine(model, engine, progress), threads=1)
        self._tokenizer = Tokenizer(model)

    def refusal(self, text: str) -> str:
        """Accept any length; see `Scorer.refusal`."""
        return "" if is_utf8(text) else NOT_UTF8

    def score(self, texts: Sequence[str]) -> list[Outcome]:
        """Run the model on batches of texts of similar length; see `Scorer.score`."""
        tokens = self._tokenizer.encode(texts)
        outcomes: dict[int, Outcome] = {}
        for batch in batches([len(each.ids) for each in tokens]):
            scored = self._run([tokens[index] for index in batch])
            outcomes.update(zip(batch, scored, strict=True))
        return [outcomes[index] for index in range(len(texts))]

    def _run(self, tokens: list[Tokens]) -> list[Outcome]:
        try:
            logits = self._engine.logits([each.ids for each in tokens])
        except Exception as error:
            if len(tokens) > 1:
                return [outcome for each in tokens for outcome in self._run([each])]
            return [Failure(f"the model could not score the text: {type(error).__name__}")]
        return [
            self._outcome(tuple(row.tolist()), each.truncated)
            for row, each in zip(logits, tokens, strict=True)
        ]

    def _outcome(self, logits: tuple[float, ...], truncated: bool) -> Outcome:
        try:
            # The service's own rendering, so that both ways agree to the last digit.
            labels = json.loads(label_scores(self.labels, logits, self._transform, None))
        except InferenceFailed as error:
            return Failure(error.detail)
        return prediction(labels, truncated)


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Divide texts, by their numbers of tokens, into batches of similar length; yields indices."""
    max_tokens = ClassifierSettings().max_batch_tokens
    waiting = sorted(range(len(lengths)), key=lengths.__getitem__)
    while waiting:
        chosen = select_batch([lengths[index] for index in waiting], max_tokens)
        yield [waiting[position] for position in chosen]
        taken = set(chosen)
        waiting = [index for position, index in enumerate(waiting) if position not in taken]
