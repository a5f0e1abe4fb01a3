"""A Serve configuration against Ray's own schema, unknown keys refused."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from tests.k8s.manifests import Object


def violations(config: Object) -> Iterator[str]:
    """Yield what Ray refuses, and the keys that it ignores without a word."""
    try:
        ServeDeploySchema.model_validate(config)
    except ValidationError as error:
        yield from (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    yield from _unknown(config, ServeDeploySchema, "")


def _unknown(value: Any, model: type[BaseModel], path: str) -> Iterator[str]:
    for key, each in value.items():
        field = model.model_fields.get(key)
        place = f"{path}.{key}".lstrip(".")
        if field is None:
            yield f"{place}: Ray does not know this key"
            continue
        for inner in _models(field.annotation):
            if isinstance(each, dict):
                yield from _unknown(each, inner, place)
            if isinstance(each, list):
                for index, one in enumerate(each):
                    yield from _unknown(one, inner, f"{place}.{index}")


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models within an annotation such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in _models(each)]
