"""The model card, written from the figures of a run."""

import textwrap
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from training.optimization import CONSISTENCY_TOKENS
from training.recipe import LABELS, SST2, Recipe

# The labels' meaning and the origin of the sentences: https://huggingface.co/datasets/stanfordnlp/sst2
_TEXT = """\
# {name}

{introduction}
It starts from {base} ({base_licence}){conversion} and is
fine-tuned on {dataset}.

## Figures

Measured on the files in this directory ({weights} weights computed in float32; texts cut to
{max_tokens} tokens). ECE is the expected calibration error in 15 bins of confidence.

{figures}

Checkpoints were chosen by the accuracy on `{first}`, so that figure is slightly optimistic; the
other sets had no part in training. {calibration}

![Confusion matrix](confusion.png)
![Reliability](reliability.png)

## Training

- Data: {training_examples} {examples}{least_words}{held_out}.
{augmentation}{optimization}
{kept}- Time: {minutes} minutes. Libraries: {libraries}.
{note}
`metrics.json` holds every setting and figure. {reproduction}

## Limits

{limits}
- Only the first {max_tokens} tokens count.
- Names of people, groups or countries can shift the score; do not use it to judge people.
"""

_SST2_INTRODUCTION = (
    "Binary sentiment classifier for English text: label 0 is NEGATIVE, label 1 is POSITIVE."
)
_SST2_LIMITS = """\
- English only, and only two labels: neutral, mixed or off-topic text gets one of them too.
- Learned from film reviews of the early 2000s; other domains, sarcasm and newer idiom are less
  certain."""
_OTHER_LIMITS = """\
- Every text gets one of the labels, off-topic text too.
- Texts of another kind or language than those of the training are less certain."""


def write_card(metrics: Mapping[str, Any], path: Path) -> None:
    """Write a model card in the Hugging Face form.

    Args:
        metrics: The contents of the run's ``metrics.json``.
        path: File to write.
    """
    recipe = Recipe.model_validate(metrics["recipe"])
    sst2 = recipe.dataset == SST2 and recipe.label_names == LABELS
    dataset = recipe.dataset if sst2 or recipe.dataset != SST2 else ""
    text = _TEXT.format(
        name=recipe.name,
        introduction=(
            _SST2_INTRODUCTION
            if sst2
            else f"Classifier of texts; its labels are {', '.join(recipe.label_names)}."
        ),
        base=_hub_link(recipe.base) if "/" in recipe.base else f"`{recipe.base}`",
        base_licence=recipe.base_licence,
        dataset=_hub_link(dataset, "datasets/") if dataset else "own texts",
        examples="phrases and sentences" if sst2 else "texts",
        limits=_SST2_LIMITS if sst2 else _OTHER_LIMITS,
        weights=recipe.weights,
        max_tokens=recipe.max_tokens,
        conversion=", converted exactly from BERT to DistilBERT," if recipe.convert else "",
        figures=_figures(metrics["evaluation"], recipe.label_names),
        first=next(iter(metrics["evaluation"])),
        calibration=_calibration(metrics),
        training_examples=metrics["training_examples"],
        least_words=f" of at least {least} words" if (least := recipe.least_words) > 1 else "",
        held_out=_held_out(metrics),
        augmentation=_augmentation(recipe),
        optimization=_optimization(recipe),
        kept="" if "stages" in metrics else _kept(metrics["history"]),
        note=f"- {metrics['note']}\n" if metrics["note"] else "",
        minutes=round(metrics["training_seconds"] / 60),
        libraries=", ".join(f"{name} {release}" for name, release in metrics["libraries"].items()),
        reproduction=_reproduction(metrics),
    )
    data = ModelCardData(
        language="en" if sst2 else None,
        license=recipe.base_licence,
        base_model=recipe.base,
        datasets=[dataset] if dataset else None,
        pipeline_tag="text-classification",
        library_name="transformers",
        model_name=recipe.name,
        eval_results=_eval_results(metrics["evaluation"]),
    )
    ModelCard(f"---\n{data}\n---\n\n{text}").save(path)


def _hub_link(name: str, kind: str = "") -> str:
    return f"[{name}](https://huggingface.co/{kind}{name})"


def _figures(evaluation: Mapping[str, Mapping[str, Any]], labels: Sequence[str]) -> str:
    recalls = " | ".join(f"recall {label}" for label in labels)
    head = [
        f"| set | examples | accuracy | {recalls} | F1 | log loss | ECE |",
        "|---" * (6 + len(labels)) + "|",
    ]
    return "\n".join(head + [_row(name, figures) for name, figures in evaluation.items()])


def _row(name: str, figures: Mapping[str, Any]) -> str:
    recalls = [
        counts[label] / max(sum(counts), 1) for label, counts in enumerate(figures["confusion"])
    ]
    values = [
        figures["accuracy"],
        *recalls,
        figures["f1"],
        figures["log_loss"],
        figures["expected_calibration_error"],
    ]
    return f"| {name} | {figures['examples']} | " + " | ".join(f"{v:.4f}" for v in values) + " |"


def _calibration(metrics: Mapping[str, Any]) -> str:
    if not metrics["calibrated_on"]:
        return "The probabilities are not calibrated after training."
    return (
        f"A temperature of {metrics['temperature']:.3f}, fitted on {metrics['calibrated_on']}, is "
        "folded into the classifier's weights."
    )


def _held_out(metrics: Mapping[str, Any]) -> str:
    count = metrics["held_out_sentences"]
    return f"; {count} sentences and all their phrases were kept back" if count else ""


def _kept(history: Sequence[Mapping[str, Any]]) -> str:
    best, last = max(history, key=itemgetter("accuracy")), history[-1]
    return (
        f"- The weights kept are those after step {best['step']} of epoch {best['epoch'] + 1}, the "
        f"best of {len(history)} validations;\n  the last one was after step {last['step']} of "
        f"epoch {last['epoch'] + 1}.\n"
    )


def _augmentation(recipe: Recipe) -> str:
    lines = []
    if recipe.detokenized:
        lines.append(
            f"- Augmentation: {recipe.detokenized:.0%} of the examples in ordinary spelling "
            "instead of treebank tokens.\n"
        )
    if recipe.joined:
        low, high = recipe.joined_words
        lines.append(
            f"- Augmentation: {recipe.joined} documents of {low} to {high} words in every epoch, "
            "joined from\n  sentences; "
            f"{_range(recipe.joined_purity_negative)} of them are negative in NEGATIVE "
            f"documents,\n  {_range(recipe.joined_purity_positive)} positive in POSITIVE ones.\n"
        )
    return "".join(lines)


def _range(shares: tuple[float, float]) -> str:
    return f"{shares[0]:.0%} to {shares[1]:.0%}"


def _optimization(recipe: Recipe) -> str:
    course = {"linear": "falling linearly", "constant": "constant"}[recipe.schedule]
    parts = [
        f"{recipe.epochs} epochs of AdamW",
        f"peak learning rate {recipe.learning_rate:g}, {course} after {recipe.warmup:.0%} of the "
        "steps",
        f"rate factor {recipe.layer_decay:g} per layer towards the embeddings",
        f"at least {recipe.batch_size} examples a step",
        f"label smoothing {recipe.label_smoothing:g}",
    ]
    if recipe.consistency:
        parts.append(
            f"R-Drop with weight {recipe.consistency:g} for texts of up to {CONSISTENCY_TOKENS} "
            "tokens"
        )
    if recipe.average != "none":
        decay = f" with decay {recipe.average_decay:g}" if recipe.average == "exponential" else ""
        begin = f" from step {recipe.average_from} on" if recipe.average_from else ""
        parts.append(f"{recipe.average} average of the weights{decay}{begin}")
    text = f"- Optimization: {'; '.join(parts)}; seed {recipe.seed}."
    return textwrap.fill(text, 95, subsequent_indent="  ", break_on_hyphens=False)


def _reproduction(metrics: Mapping[str, Any]) -> str:
    """Return the command, or a list of commands where the metrics have ``stages``.

    A stage is a mapping with the keys ``command`` and ``note``.
    """
    if "stages" not in metrics:
        return f"To reproduce, with the data files at hand:\n\n    {metrics['command']}"
    stages = [
        f"{number}. {stage['note']}\n\n       {stage['command']}"
        for number, stage in enumerate(metrics["stages"], start=1)
    ]
    introduction = (
        "The settings above are those of the last\ntraining stage. To reproduce, with the data "
        "files at hand:"
    )
    return "\n\n".join([introduction, *stages])


def _eval_results(evaluation: Mapping[str, Mapping[str, Any]]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="text-classification",
            dataset_type=name,
            dataset_name=name,
            metric_type="accuracy",
            metric_value=figures["accuracy"],
        )
        for name, figures in evaluation.items()
    ]
