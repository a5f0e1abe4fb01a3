"""Recipes: the settings of a fine-tuning run, and presets."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

LABELS = ("NEGATIVE", "POSITIVE")
EMBEDDED = "embedded"
SST2 = "stanfordnlp/sst2"

# Few shapes, since oneDNN compiles its kernels anew for each one:
# https://uxlfoundation.github.io/oneDNN/dev_guide_primitive_cache.html
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

Share = tuple[float, float]


class Recipe(BaseModel):
    """Settings of one fine-tuning run; together with the data they determine the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the model, for the card")
    base: str = Field(description="hub id of the pretrained model, or embedded")
    base_licence: str = Field(default="apache-2.0", description="SPDX id of its licence")
    convert: bool = Field(default=False, description="turn a BERT base into a DistilBERT")
    dataset: str = Field(default=SST2, description="hub id of the data, for the card")
    labels: tuple[str, ...] = Field(
        default=(),
        description="names of the labels, in order; default: the names in the training file, "
        "sorted, or NEGATIVE POSITIVE where it has 0 and 1",
    )

    epochs: int = Field(ge=1, description="passes over the training data")
    batch_size: int = Field(ge=1, description="minimum examples in an optimizer step")
    microbatch_tokens: int = Field(ge=1, description="maximum padded tokens in a forward pass")
    max_tokens: int = Field(default=512, ge=3, le=LENGTHS[-1], description="longer texts are cut")

    learning_rate: float = Field(gt=0, description="peak rate of the classification head")
    layer_decay: float = Field(default=1.0, gt=0, le=1, description="rate factor per layer down")
    warmup: float = Field(default=0.06, ge=0, lt=1, description="share of steps to warm up")
    schedule: Literal["linear", "constant"] = Field(
        default="linear",
        description="linear: the rate falls to 0 after the warm-up; constant: it stays",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="of matrices only")
    max_gradient_norm: float = Field(default=1.0, gt=0, description="gradients are clipped to it")
    average: Literal["none", "exponential", "uniform"] = Field(
        default="none", description="keep the exponential or uniform mean of the weights, or none"
    )
    average_decay: float = Field(default=0.99, ge=0, lt=1, description="of an exponential average")
    average_from: int = Field(
        default=0, ge=0, description="step whose weights an average begins with"
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="in the loss")
    consistency: float = Field(
        default=0.0,
        ge=0,
        description="weight in the loss of the divergence between two forward passes of a "
        "short text with different dropout (R-Drop); 0: one pass",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="of hidden states and head")
    attention_dropout: float = Field(default=0.1, ge=0, lt=1, description="of attention weights")

    least_words: int = Field(default=1, ge=1, description="shorter training texts are left out")
    joined: int = Field(default=0, ge=0, description="long documents joined in every epoch")
    joined_words: tuple[int, int] = Field(default=(30, 400), description="range of their lengths")
    joined_purity_negative: Share = Field(
        default=(0.65, 1.0), description="range of the share of negative sentences in negative ones"
    )
    joined_purity_positive: Share = Field(
        default=(0.65, 1.0), description="range of the share of positive sentences in positive ones"
    )
    detokenized: float = Field(
        default=0.0, ge=0, le=1, description="share of examples put into ordinary spelling"
    )

    holdout_sentences: int = Field(
        default=0, ge=0, description="training sentences kept back to fit the temperature; 0: none"
    )
    evaluations_per_epoch: int = Field(default=1, ge=1, description="checkpoints to choose from")
    checkpoint_steps: int = Field(default=200, ge=1, description="steps between resume points")
    precision: Literal["no", "bf16"] = Field(default="bf16", description="of the matrix products")
    attention: Literal["eager", "sdpa"] = Field(default="sdpa", description="implementation")
    weights: Literal["float16", "float32"] = Field(default="float32", description="as saved")
    seed: int = Field(default=0, ge=0, description="of all random choices")

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(labels) == 1:
            raise ValueError("name two labels at least")
        if len(set(labels)) < len(labels):
            raise ValueError("name each label once")
        return labels

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the labels, in order."""
        return self.labels or LABELS


PRESETS = {
    "quick": Recipe(
        name="Embedded model fine-tuned on own texts",
        base=EMBEDDED,
        dataset="",
        epochs=3,
        batch_size=32,
        microbatch_tokens=4096,
        learning_rate=5e-4,
        layer_decay=0.8,
        warmup=0.1,
        precision="no",
    ),
    "embedded": Recipe(
        name="MiniLM-L6-H384 fine-tuned on SST-2",
        base="sentence-transformers/all-MiniLM-L6-v2",
        convert=True,
        epochs=5,
        batch_size=128,
        microbatch_tokens=4096,
        learning_rate=1e-4,
        layer_decay=0.95,
        warmup=0.05,
        average="exponential",
        average_decay=0.998,
        average_from=150,
        label_smoothing=0.05,
        consistency=1.0,
        attention_dropout=0.0,
        least_words=2,
        joined=1500,
        joined_words=(40, 380),
        joined_purity_negative=(0.7, 1.0),
        joined_purity_positive=(0.45, 1.0),
        detokenized=0.4,
        evaluations_per_epoch=4,
        attention="eager",
        weights="float16",
        seed=3,
    ),
    "production": Recipe(
        name="DistilBERT base fine-tuned on SST-2",
        base="distilbert/distilbert-base-uncased",
        epochs=3,
        batch_size=256,
        microbatch_tokens=256 * 512,
        learning_rate=5e-5,
    ),
}
