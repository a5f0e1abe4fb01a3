"""The system that ours replaces: a transformers pipeline behind FastAPI and a cache of requests.

In its best honest form: the pipeline computes in a thread pool, so that hits do not wait for it,
and takes all texts of a request as one batch.
"""

import hashlib
import os

import redis.asyncio
from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from transformers import pipeline

TTL_S = 3600

app = FastAPI()
cache = redis.asyncio.from_url(os.environ["PEER_REDIS"])
classifier = pipeline("text-classification", model=os.environ["PEER_MODEL"], top_k=None)


class Texts(BaseModel):
    """A request."""

    text: list[str]


class Predictions(BaseModel):
    """An answer."""

    predictions: list[list[dict[str, str | float]]]


@app.post("/predict")
async def predict(request: Texts) -> Response:
    """Answer from the cache, which knows whole requests, or compute."""
    body = request.model_dump_json().encode()
    key = b"request:" + hashlib.sha256(body).digest()
    known = await cache.get(key)
    if known is None:
        found = await run_in_threadpool(
            classifier, request.text, batch_size=len(request.text), truncation=True
        )
        known = Predictions(predictions=found).model_dump_json()
        await cache.set(key, known, ex=TTL_S)
    return Response(known, media_type="application/json")
