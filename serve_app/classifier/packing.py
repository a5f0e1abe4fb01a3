"""Which waiting texts go through the model together."""

from collections.abc import Sequence
from typing import Final

# A shorter text is padded by at most half of the longest one's length, or by sixteen tokens
# where that is more: below that, one more pass through the model costs more than the padding,
# which only attention computes (docs/quantization.md).
PADDING_SHARE: Final = 0.5
PADDING_TOKENS: Final = 16


def companions(lengths: Sequence[int], max_tokens: int) -> list[int]:
    """Choose the next batch: the first text and others of like length.

    The first one is always served, so that no length can starve another.

    Args:
        lengths: Tokens of each waiting text, in the order in which they are to be served; not
            empty.
        max_tokens: Most tokens in the batch, padding included; the first text goes through
            even where it alone has more.

    Returns:
        Indices of the chosen texts, in the same order, 0 among them.
    """
    chosen = [0]
    shortest = longest = lengths[0]
    for index in range(1, len(lengths)):
        length = lengths[index]
        low, high = min(shortest, length), max(longest, length)
        if high - low > max(PADDING_TOKENS, PADDING_SHARE * high):
            continue
        if high * (len(chosen) + 1) > max_tokens:
            continue
        chosen.append(index)
        shortest, longest = low, high
    return chosen
