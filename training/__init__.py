"""Fine-tuning of sentiment classifiers, from labelled text to an evaluated model."""
