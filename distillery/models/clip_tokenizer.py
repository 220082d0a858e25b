"""CLIP's tokenizer without a connection."""

from __future__ import annotations

import transformers

END_OF_TEXT = "<|endoftext|>"


def clip_tokenizer(padding: str) -> transformers.CLIPTokenizer:
    """The tokenizer of Stable Diffusion 1, 2 and SDXL, from the vocabulary that is in open_clip.

    Args:
        padding: the token after the end of a text, END_OF_TEXT for OpenAI's CLIP and "!" for
            OpenCLIP's.
    """
    # Here, because it brings timm, and few models come without a tokenizer of their own.
    from open_clip.tokenizer import SimpleTokenizer

    own = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": END_OF_TEXT}
    vocabulary = {names.get(word, word): number for word, number in own.encoder.items()}
    return transformers.CLIPTokenizer(
        vocab=vocabulary, merges=[*own.bpe_ranks], pad_token=padding, model_max_length=77
    )
