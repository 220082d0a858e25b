"""A CLIP tokenizer whose merges are learnt from captions; bytes cover everything else."""

from __future__ import annotations

import json

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from distillery.toybox import all_factors, caption

CONTEXT = 24
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"


def new_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE in CLIP's form; every word of the captions is one token.

    The end token has the highest id, which is how CLIP's text tower finds it.
    """
    g = np.random.default_rng(0)
    captions = sorted({caption(factors, g) for factors in all_factors() for _ in range(20)})
    bpe = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        initial_alphabet=bytes_,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    bpe.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in _merges(bpe)]
    merged = [a + b for a, b in merges]
    words = [*bytes_, *(b + WORD_END for b in bytes_), *merged, START, END]
    vocab = {word: k for k, word in enumerate(dict.fromkeys(words))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CONTEXT)


def _merges(bpe: Tokenizer) -> list[list[str]]:
    return json.loads(bpe.to_str())["model"]["merges"]
