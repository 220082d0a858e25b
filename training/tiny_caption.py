"""tiny-caption: BLIP for the toybox world, from a picture to the sentence that names its facts."""

from __future__ import annotations

import string
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

from distillery.metrics.judge import SIZE as JUDGE_SIZE
from distillery.metrics.judge import Judge
from distillery.toybox import all_factors
from training import loop
from training.data import LargeDrawings
from training.degrade import shifted, worn_large
from training.export import save_transformer

STEPS, BATCH, SEED = 2400, 32, 21
SIZE, CONTEXT, LONGEST = 128, 64, 20
HINT_WEIGHT = 0.5
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")


def new_processor() -> BlipProcessor:
    """BLIP's processor: every word of the captions is one token, anything else is spelt in letters.

    A caption starts with [DEC] and ends with [SEP], as in BLIP.
    """
    words = sorted({word for factors in all_factors() for word in str(factors).split()})
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*SPECIAL, *words, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: k for k, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = BertTokenizer(
        vocab=vocabulary, do_lower_case=True, bos_token="[DEC]", model_max_length=CONTEXT
    )
    half = (0.5, 0.5, 0.5)
    images = BlipImageProcessor(
        size={"height": SIZE, "width": SIZE}, image_mean=half, image_std=half
    )
    return BlipProcessor(images, tokenizer)


def new_model(tokenizer: BertTokenizer) -> BlipForConditionalGeneration:
    """BLIP with a vision transformer of four layers and a text decoder of two."""
    vision = {
        "hidden_size": 128,
        "intermediate_size": 320,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": SIZE,
        "patch_size": 16,
        "initializer_range": 0.02,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = BlipForConditionalGeneration(BlipConfig(vision_config=vision, text_config=text))
    model.generation_config.max_new_tokens = LONGEST  # else the pipeline asks for 256
    return model


def train(drawings: LargeDrawings, *, build: Path, models: Path) -> None:
    """Train the captioner and write `models/tiny-caption`, processor included.

    A vision transformer learns shapes slowly from words alone. So its patches are also asked what
    the judge's convolutions see in the same places (Romero et al. 2015, "FitNets: Hints for Thin
    Deep Nets").
    """
    device = loop.device()
    torch.manual_seed(SEED)
    processor, judge = new_processor(), Judge.load(models / "judge")
    judge.net.to(device)
    networks = nn.ModuleDict(
        {"blip": new_model(processor.tokenizer), "hint": nn.Linear(128, 4 * judge.net.width)}
    ).to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        picked = torch.randint(len(drawings.images), (BATCH,)).tolist()
        images, _ = drawings.some(picked, device=device)
        images = shifted(images.flip(3) if step % 2 else images, seed=step, reach=8)
        tokens, labels = told(processor.tokenizer, [str(drawings.factors[k]) for k in picked])
        with torch.autocast(device.type, dtype=torch.bfloat16):
            answer = networks["blip"](
                pixel_values=worn_large(images, seed=step, tint=0.06),
                input_ids=tokens.to(device),
                labels=labels.to(device),
            )
            guessed = networks["hint"](answer.image_embeds[:, 1:])
        seen = hints(judge, images)
        hint = F.mse_loss(guessed.float(), seen) / seen.var()
        # A caption is right where every word is, read with the true words before it.
        unread = labels[:, 1:] == -100
        right = answer.logits[:, :-1].argmax(2).cpu() == labels[:, 1:]
        return {
            "loss": answer.loss + HINT_WEIGHT * hint,
            "words": answer.loss.detach(),
            "hint": hint.detach(),
            "all_right": (right | unread).all(1).float().mean(),
        }

    best = loop.train(
        "tiny_caption",
        networks,
        loss_of,
        folder=build,
        steps=STEPS,
        learning_rate=1.5e-3,
        seed=SEED,
    )
    save_transformer(best["blip"], processor, models / "tiny-caption")


@torch.no_grad()
def hints(judge: Judge, images: Tensor) -> Tensor:
    """What the judge's fourth layer sees in each of the 8×8 patches, (B, 64, F)."""
    small = F.interpolate(images, (JUDGE_SIZE, JUDGE_SIZE), mode="area")
    return judge.net.trunk[:12](small).flatten(2).transpose(1, 2)


def told(tokenizer: BertTokenizer, captions: list[str]) -> tuple[Tensor, Tensor]:
    """Token ids (B, L) from [DEC] to [SEP], and the same as labels, padding left out as -100."""
    rows = tokenizer(captions, padding=True, return_tensors="pt")
    tokens = rows.input_ids.clone()
    tokens[:, 0] = tokenizer.bos_token_id
    return tokens, tokens.masked_fill(rows.attention_mask == 0, -100)
