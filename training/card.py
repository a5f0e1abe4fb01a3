"""The model card, written from the figures of a run."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from training.corpus import LABELS
from training.recipe import Recipe

# The labels' meaning and the origin of the sentences: https://huggingface.co/datasets/stanfordnlp/sst2
_TEXT = """\
# {name}

Binary sentiment classifier for English text: label 0 is NEGATIVE, label 1 is POSITIVE.
It starts from [{base}](https://huggingface.co/{base}) ({base_licence}){conversion} and is
fine-tuned on [{dataset}](https://huggingface.co/datasets/{dataset}).

## Figures

Measured on the files in this directory ({weights} weights computed in float32; texts cut to
{max_tokens} tokens). ECE is the expected calibration error in 15 bins of confidence.

{figures}

Checkpoints were chosen by the accuracy on `{first}`, so that figure is slightly optimistic; the
other sets had no part in training. {calibration}

![Confusion matrix](confusion.png)
![Reliability](reliability.png)

## Training

- Data: {training_examples} phrases and sentences{held_out}.
{augmentation}- Optimization: {epochs} epochs of AdamW, peak learning rate {learning_rate:g} falling
  linearly after {warmup:.0%} of the steps, factor {layer_decay:g} per layer towards the
  embeddings, at least {batch_size} examples a step, label smoothing {label_smoothing:g}, decay
  of the weights' moving average {average_decay:g}, seed {seed}.
- {kept}
- Time: {minutes} minutes. Libraries: {libraries}.
{note}
`metrics.json` holds every setting and figure. To reproduce, with the data files at hand:

    {command}

## Limits

- English only, and only two labels: neutral, mixed or off-topic text gets one of them too.
- Learned from film reviews of the early 2000s; other domains, sarcasm and newer idiom are less
  certain.
- Only the first {max_tokens} tokens count.
- Names of people, groups or countries can shift the score; do not use it to judge people.
"""


def write_card(metrics: Mapping[str, Any], path: Path) -> None:
    """Write a model card in the Hugging Face form.

    Args:
        metrics: The contents of the run's ``metrics.json``.
        path: File to write.
    """
    recipe = Recipe.model_validate(metrics["recipe"])
    text = _TEXT.format(
        **recipe.model_dump(),
        conversion=", converted exactly from BERT to DistilBERT," if recipe.convert else "",
        figures=_figures(metrics["evaluation"]),
        first=next(iter(metrics["evaluation"])),
        calibration=_calibration(metrics),
        training_examples=metrics["training_examples"],
        held_out=_held_out(metrics),
        augmentation=_augmentation(recipe),
        kept=_kept(metrics["history"]),
        note=f"- {metrics['note']}\n" if metrics["note"] else "",
        minutes=round(metrics["training_seconds"] / 60),
        libraries=", ".join(f"{name} {release}" for name, release in metrics["libraries"].items()),
        command=metrics["command"],
    )
    data = ModelCardData(
        language="en",
        license=recipe.base_licence,
        base_model=recipe.base,
        datasets=[recipe.dataset],
        pipeline_tag="text-classification",
        library_name="transformers",
        model_name=recipe.name,
        eval_results=_eval_results(metrics["evaluation"]),
    )
    ModelCard(f"---\n{data}\n---\n\n{text}").save(path)


def _figures(evaluation: Mapping[str, Mapping[str, Any]]) -> str:
    recalls = " | ".join(f"recall {label}" for label in LABELS)
    head = [
        f"| set | examples | accuracy | {recalls} | F1 | log loss | ECE |",
        "|---" * (6 + len(LABELS)) + "|",
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
    if not metrics["held_out_sentences"]:
        return "The probabilities are not calibrated after training."
    return (
        f"A temperature of {metrics['temperature']:.3f}, fitted on "
        f"{metrics['held_out_sentences']} training sentences kept back from training, is folded "
        "into the classifier's weights."
    )


def _held_out(metrics: Mapping[str, Any]) -> str:
    count = metrics["held_out_sentences"]
    return f"; {count} sentences and all their phrases were kept back" if count else ""


def _kept(history: Sequence[Mapping[str, Any]]) -> str:
    best, last = max(history, key=itemgetter("accuracy")), history[-1]
    return (
        f"The weights kept are those after step {best['step']} of epoch {best['epoch'] + 1}, the "
        f"best of {len(history)} validations;\n  the last one was after step {last['step']} of "
        f"epoch {last['epoch'] + 1}."
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
            "joined from\n  sentences of which "
            f"{recipe.joined_purity[0]:.0%} to {recipe.joined_purity[1]:.0%} have one label.\n"
        )
    return "".join(lines)


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
