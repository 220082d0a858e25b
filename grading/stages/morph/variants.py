"""Stage 7 in other right spellings."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from grading.stages.known_answers import right

SLERP = "morph.slerp"
PROMPTS = "morph.prompt_path"
NOISE = "morph.noise_path"
LAYER = "morph.lora_forward"
LOSS = "morph.finetune_loss"
PALETTE = "morph.shared_palette"
HOLD = "morph.hold_colours"


@right(SLERP)
def slerp_sample_by_sample(v0, v1, a):
    results = []
    for first, second, part in zip(v0, v1, a, strict=True):
        p, q = first.float(), second.float()
        lengths = (p * p).sum().sqrt() * (q * q).sum().sqrt()
        cosine = (p * q).sum() / lengths if lengths > 0 else torch.tensor(1.0)
        if cosine.abs() > 0.9995:
            its = p + part * (q - p)
        else:
            theta = torch.acos(cosine)
            its = (torch.sin((1 - part) * theta) * p + torch.sin(part * theta) * q) / theta.sin()
        results.append(its.to(first.dtype))
    return torch.stack(results)


@right(SLERP)
def slerp_by_a_right_angled_partner(v0, v1, a):
    """Gram-Schmidt: the part of v1's direction across v0's gives the plane of the turn."""
    p, q = v0.double().flatten(1), v1.double().flatten(1)
    a = a.double()[:, None]
    long = [its.norm(dim=1, keepdim=True) for its in (p, q)]
    d0, d1 = (its / size.clamp(min=1e-12) for its, size in zip((p, q), long, strict=True))
    cosine = (d0 * d1).sum(1, keepdim=True)
    line = (cosine.abs() > 0.9995) | (long[0] * long[1] == 0)
    theta = torch.where(line, 1.0, cosine).clamp(-1, 1).acos()
    sine = torch.where(line, 1.0, theta.sin())
    along = long[0] * ((1 - a) * theta).sin() / sine + long[1] * (a * theta).sin() / sine * cosine
    across = long[1] * (a * theta).sin() / sine
    turned = along * d0 + across * (d1 - cosine * d0)
    return torch.where(line, torch.lerp(p, q, a), turned).view_as(v0).to(v0.dtype)


@right(SLERP)
def slerp_by_cosine_similarity(v0, v1, a):
    p, q = v0.float().reshape(len(v0), -1), v1.float().reshape(len(v1), -1)
    cosine = F.cosine_similarity(p, q, dim=1, eps=1e-20).clamp(-1, 1)
    is_line = (cosine.abs() > 0.9995) | (p == 0).all(1) | (q == 0).all(1)
    theta = cosine.acos()
    w0 = torch.where(is_line, 1 - a, ((1 - a) * theta).sin() / theta.sin())
    w1 = torch.where(is_line, a, (a * theta).sin() / theta.sin())
    return (w0[:, None] * p + w1[:, None] * q).reshape(v0.shape).type_as(v0)


@right(PROMPTS)
def prompts_frame_by_frame(tokens, positions):
    frames = []
    for position in positions.tolist():
        k = min(int(position), len(tokens) - 2)
        part = torch.full((tokens.shape[1],), position - k)
        frames.append(slerp_by_cosine_similarity.function(tokens[k], tokens[k + 1], part))
    return torch.stack(frames)


@right(PROMPTS)
def prompts_by_the_next_one(tokens, positions):
    """From the keyframe before to the one behind, which are the same at a keyframe."""
    before, behind = positions.floor().long(), positions.ceil().long()
    part = positions.frac()[:, None].expand(-1, tokens.shape[1])
    flat = [tokens[k].reshape(-1, tokens.shape[2]) for k in (before, behind)]
    turned = slerp_by_cosine_similarity.function(*flat, part.reshape(-1))
    return turned.reshape(len(positions), *tokens.shape[1:])


@right(NOISE)
def noise_frame_by_frame(seeds, positions, shape):
    frames = []
    for position in positions.tolist():
        k = min(int(position), len(seeds) - 2)
        ends = []
        for seed in seeds[k : k + 2]:
            generator = torch.Generator("cpu")
            generator.manual_seed(seed)
            ends.append(torch.randn(1, *shape, generator=generator))
        part = torch.tensor([position - k])
        frames.append(slerp_by_cosine_similarity.function(*ends, part))
    return torch.cat(frames)


@right(NOISE)
def noise_of_each_seed_once(seeds, positions, shape):
    known = {}
    for seed in seeds:
        if seed not in known:
            known[seed] = torch.empty(shape).normal_(
                generator=torch.Generator().manual_seed(int(seed))
            )
    keys = torch.stack([known[seed] for seed in seeds])
    start = torch.bucketize(positions, torch.arange(1.0, len(seeds) - 1), right=True)
    return slerp_by_a_right_angled_partner.function(keys[start], keys[start + 1], positions - start)


@right(LAYER)
def lora_by_linear(x, weight, bias, lora_A, lora_B, alpha):
    down = F.linear(x, lora_A)
    return F.linear(x, weight, bias) + F.linear(down, lora_B) * (alpha / lora_B.shape[1])


@right(LAYER)
def lora_merged(x, weight, bias, lora_A, lora_B, alpha):
    """As a merged adapter: one matrix."""
    merged = weight + alpha * (lora_B @ lora_A) / lora_A.size(0)
    return F.linear(x, merged, bias)


@right(LAYER)
def lora_by_einsum(x, weight, bias, lora_A, lora_B, alpha):
    y = torch.einsum("mn,...n->...m", weight, x)
    if bias is not None:
        y = y + bias
    return y + alpha / lora_A.shape[0] * torch.einsum("mr,rn,...n->...m", lora_B, lora_A, x)


@right(LOSS)
def loss_by_mse(denoiser, x0, text, t, eps, preserved, prior_weight):
    alpha_bar = denoiser.alpha_bar(t)
    xt = x0 * alpha_bar**0.5 + eps * (1 - alpha_bar) ** 0.5
    predicted, wanted = denoiser.predict(xt, t, text), denoiser.target(x0, eps, t)
    if preserved == 0:
        return F.mse_loss(predicted, wanted)
    mine, old = predicted[:-preserved], predicted[-preserved:]
    loss = F.mse_loss(mine, wanted[:-preserved])
    return loss + prior_weight * F.mse_loss(old, wanted[-preserved:])


@right(LOSS)
def loss_by_weights_of_pictures(denoiser, x0, text, t, eps, preserved, prior_weight):
    level = denoiser.alpha_bar(t)
    gap = denoiser.predict(level.sqrt() * x0 + (1 - level).sqrt() * eps, t, text)
    gap = gap - denoiser.target(x0, eps, t)
    each = gap.pow(2).mean(dim=(1, 2, 3))
    new = len(x0) - preserved
    weights = torch.cat(
        [torch.full((new,), 1 / new), torch.full((preserved,), prior_weight / max(preserved, 1))]
    )
    return each @ weights


@right(PALETTE)
def palette_colour_by_colour(frames, palette):
    pixels = frames.flatten(0, 2)
    nearest = torch.cdist(pixels, palette).argmin(dim=1)
    moved = palette.clone()
    for k in range(len(palette)):
        its = pixels[nearest == k]
        if len(its):
            moved[k] = its.mean(dim=0)
    return moved


@right(PALETTE)
def palette_by_frames_sums(frames, palette):
    """Sums and numbers frame by frame, divided only in the end."""
    sums, counts = torch.zeros_like(palette), torch.zeros(len(palette), 1)
    for frame in frames:
        pixels = frame.reshape(-1, 3)
        distance = ((pixels.unsqueeze(1) - palette.unsqueeze(0)) ** 2).sum(-1)
        members = F.one_hot(distance.argmin(1), len(palette)).float()
        sums += members.T @ pixels
        counts += members.sum(0)[:, None]
    return torch.where(counts == 0, palette, sums / counts.clamp(min=1))


@right(HOLD)
def hold_from_frame_to_frame(frames, palette, margin):
    f, h, w, _ = frames.shape
    distances = torch.cdist(frames.reshape(f, h * w, 3), palette)
    numbers = distances.argmin(-1)
    place = torch.arange(h * w)
    for frame in range(1, f):
        before = numbers[frame - 1]
        best = distances[frame].amin(-1)
        stays = distances[frame][place, before] - best <= margin
        numbers[frame][stays] = before[stays]
    return numbers.view(f, h, w)


@right(HOLD)
def hold_pixel_by_pixel(frames, palette, margin):
    f, h, w, _ = frames.shape
    result = torch.zeros(f, h, w, dtype=torch.int64)
    distances = (frames.unsqueeze(-2) - palette).pow(2).sum(-1).sqrt().tolist()
    for row in range(h):
        for column in range(w):
            kept = None
            for frame in range(f):
                its = distances[frame][row][column]
                best = min(range(len(its)), key=its.__getitem__)
                if kept is None or its[kept] - its[best] > margin:
                    kept = best
                result[frame, row, column] = kept
    return result
