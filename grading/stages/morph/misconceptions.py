"""Wrong answers to stage 7."""

from __future__ import annotations

import math

import torch

from grading.stages.known_answers import both, wrong

SLERP = "morph.slerp"
PROMPTS = "morph.prompt_path"
NOISE = "morph.noise_path"
LAYER = "morph.lora_forward"
LOSS = "morph.finetune_loss"
PALETTE = "morph.shared_palette"
HOLD = "morph.hold_colours"


def _each(a, v0):
    """A number of each sample, beside all of its numbers."""
    return a.view(-1, *[1] * (v0.dim() - 1))


def _line(v0, v1, a):
    a = _each(a, v0)
    return ((1 - a) * v0.float() + a * v1.float()).to(v0.dtype)


def _cosine(v0, v1):
    """Of each sample, (B, 1, ...), and whether the straight line is taken there."""
    first, second = v0.float().flatten(1), v1.float().flatten(1)
    lengths = first.norm(dim=1) * second.norm(dim=1)
    cosine = (first * second).sum(1) / lengths.clamp(min=1e-12)
    parallel = (cosine.abs() > 0.9995) | (lengths < 1e-12)
    return _each(cosine, v0), _each(parallel, v0)


def _turned(v0, v1, a, theta, parallel, sine=None):
    """By an angle `theta`, divided by another sine than its own if that is given."""
    a = _each(a, v0)
    sine = theta.sin() if sine is None else sine
    w0, w1 = ((1 - a) * theta).sin() / sine, (a * theta).sin() / sine
    line = (1 - a) * v0.float() + a * v1.float()
    return torch.where(parallel, line, w0 * v0.float() + w1 * v1.float()).to(v0.dtype)


def _slerped(v0, v1, a):
    """As it should be."""
    cosine, parallel = _cosine(v0, v1)
    return _turned(v0, v1, a, cosine.masked_fill(parallel, 0).acos(), parallel)


@wrong(SLERP, "the straight line is taken everywhere: the middle of two noises is too short.")
def slerp_along_the_line(v0, v1, a):
    return _line(v0, v1, a)


@wrong(SLERP, "all samples of the batch are one long vector, with one angle for all.")
def slerp_of_the_batch(v0, v1, a):
    first, second = v0.float().flatten(), v1.float().flatten()
    cosine = first @ second / (first.norm() * second.norm()).clamp(min=1e-12)
    theta = cosine.clamp(-0.9995, 0.9995).acos()
    return _turned(v0, v1, a, theta, cosine.abs() > 0.9995)


@wrong(SLERP, "it is computed in the type that comes in: in float16 a sum of squares overflows.")
def slerp_in_its_own_type(v0, v1, a):
    first, second, a = v0.flatten(1), v1.flatten(1), a[:, None].to(v0.dtype)
    lengths = (first * first).sum(1, True).sqrt() * (second * second).sum(1, True).sqrt()
    cosine = (first * second).sum(1, True) / lengths.clamp(min=1e-4)
    parallel = (cosine.abs() > 0.9995) | (lengths < 1e-4)
    theta = cosine.masked_fill(parallel, 0).acos()
    turned = ((1 - a) * theta).sin() / theta.sin() * first + (
        a * theta
    ).sin() / theta.sin() * second
    return torch.where(parallel, (1 - a) * first + a * second, turned).view_as(v0)


@wrong(SLERP, "nothing is done where sin theta is 0: parallel vectors and zeros become NaN.")
def slerp_without_a_line(v0, v1, a):
    first, second = v0.float().flatten(1), v1.float().flatten(1)
    cosine = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    theta = _each(cosine, v0).acos()
    return _turned(v0, v1, a, theta, torch.zeros_like(theta, dtype=torch.bool))


@wrong(SLERP, "the ends are exchanged: at a = 0 it gives v1.")
def slerp_backwards(v0, v1, a):
    return _slerped(v1, v0, a)


@wrong(SLERP, "the angle is in degrees, but sin wants radians.")
def slerp_in_degrees(v0, v1, a):
    cosine, parallel = _cosine(v0, v1)
    return _turned(v0, v1, a, cosine.masked_fill(parallel, 0).acos().rad2deg(), parallel)


@wrong(SLERP, "the product of the vectors is not divided by their lengths.")
def slerp_without_normalising(v0, v1, a):
    _, parallel = _cosine(v0, v1)
    product = _each((v0.float().flatten(1) * v1.float().flatten(1)).sum(1), v0)
    return _turned(v0, v1, a, product.clamp(-0.9995, 0.9995).acos(), parallel)


@wrong(SLERP, "only vectors of length 1 are turned: the lengths of v0 and v1 are lost.")
def slerp_of_directions(v0, v1, a):
    first, second = (
        its.float() / _each(its.float().flatten(1).norm(dim=1).clamp(min=1e-12), its)
        for its in (v0, v1)
    )
    return _slerped(first, second, a).to(v0.dtype)


@wrong(SLERP, "the straight line is stretched to the right length; its angle moves unevenly.")
def slerp_by_stretching(v0, v1, a):
    line = _line(v0, v1, a).float()
    long, other = (_each(its.float().flatten(1).norm(dim=1), its) for its in (v0, v1))
    wanted = _line(long, other, a)
    own = _each(line.flatten(1).norm(dim=1).clamp(min=1e-12), line)
    return (line * wanted / own).to(v0.dtype)


@wrong(SLERP, "the division by sin theta is missing.")
def slerp_without_division(v0, v1, a):
    cosine, parallel = _cosine(v0, v1)
    theta = cosine.masked_fill(parallel, 0).acos()
    return _turned(v0, v1, a, theta, parallel, sine=torch.ones_like(theta))


@wrong(SLERP, "the first `a` is taken for all samples; each has its own.")
def slerp_with_the_first_part(v0, v1, a):
    return _slerped(v0, v1, a[:1].expand_as(a))


@wrong(SLERP, "rows turn one by one, each by its own angle; the whole sample is one vector.")
def slerp_row_by_row(v0, v1, a):
    width = v0.shape[-1]
    rows = v0.numel() // width // len(v0)
    return _slerped(
        v0.reshape(-1, width), v1.reshape(-1, width), a.repeat_interleave(rows)
    ).view_as(v0)


@wrong(
    SLERP,
    "the angle is taken to be 90 degrees, which is nearly right for noise, and for nothing else.",
)
def slerp_by_a_right_angle(v0, v1, a):
    _, parallel = _cosine(v0, v1)
    theta = torch.full_like(parallel, math.pi / 2, dtype=torch.float32)
    return _turned(v0, v1, a, theta, parallel)


@wrong(SLERP, "the roots of 1 - a and a are the weights: the length stays, the steps are uneven.")
def slerp_by_roots(v0, v1, a):
    a = _each(a, v0)
    return ((1 - a).sqrt() * v0.float() + a.sqrt() * v1.float()).to(v0.dtype)


@wrong(SLERP, "it is returned in float32, whatever came in.")
def slerp_returned_in_float32(v0, v1, a):
    return _slerped(v0.float(), v1.float(), a)


@wrong(SLERP, "only vectors of one direction are caught; for opposite ones sin theta is 0 too.")
def slerp_without_the_opposite(v0, v1, a):
    cosine, parallel = _cosine(v0, v1)
    same = parallel & (cosine >= 0)
    return _turned(v0, v1, a, cosine.clamp(-0.99999, 0.9995).acos(), same)


@wrong(SLERP, "one parallel pair makes the whole batch go along the straight line.")
def slerp_with_one_line_for_all(v0, v1, a):
    _, parallel = _cosine(v0, v1)
    return _line(v0, v1, a) if parallel.any() else _slerped(v0, v1, a)


@wrong(SLERP, "parallel vectors give v0, wherever on the way; the straight line is wanted.")
def slerp_that_stays(v0, v1, a):
    _, parallel = _cosine(v0, v1)
    return torch.where(parallel, v0, _slerped(v0, v1, a))


@wrong(SLERP, "zero vectors are not caught: the division by their length gives NaN.")
def slerp_without_the_zeros(v0, v1, a):
    first, second = v0.float().flatten(1), v1.float().flatten(1)
    lengths = first.norm(dim=1) * second.norm(dim=1)
    nothing = _each(lengths == 0, v0)
    return torch.where(nothing, torch.nan, _slerped(v0, v1, a)).to(v0.dtype)


@wrong(SLERP, "`a` is eased, so the steps of the angle are no longer even.")
def slerp_eased(v0, v1, a):
    return _slerped(v0, v1, a * a * (3 - 2 * a))


@both(slerp_of_the_batch, slerp_backwards)
def slerp_of_the_batch_backwards(v0, v1, a):
    return slerp_of_the_batch.function(v1, v0, a)


def _way(positions, keyframes):
    """The keyframe before each position, and the part of the way from there, as it should be."""
    start = positions.floor().clamp(max=keyframes - 2).long()
    return start, positions - start


def _along(tokens, positions, turn, way=_way):
    """Token by token by `turn`; or on another way."""
    start, a = way(positions, len(tokens))
    v0, v1 = tokens[start], tokens[(start + 1).clamp(max=len(tokens) - 1)]
    a = a.repeat_interleave(tokens.shape[1])
    return turn(v0.flatten(0, 1), v1.flatten(0, 1), a).view_as(v0)


@wrong(PROMPTS, "all tokens of a frame are one vector, with one angle for all of them.")
def prompts_as_one_vector(tokens, positions):
    start, a = _way(positions, len(tokens))
    return _slerped(tokens[start], tokens[start + 1], a)


@wrong(PROMPTS, "tokens go along a straight line; in the middle they are too short.")
def prompts_along_the_line(tokens, positions):
    return _along(tokens, positions, _line)


@wrong(PROMPTS, "the nearest keyframe's tokens are taken: nothing turns, and the text jumps.")
def prompts_of_the_nearest(tokens, positions):
    return tokens[positions.round().long()]


@wrong(PROMPTS, "each frame is one keyframe too far on the way.")
def prompts_one_too_far(tokens, positions):
    return _along(tokens, (positions + 1).clamp(max=len(tokens) - 1), _slerped)


@wrong(PROMPTS, "the way leads from the first keyframe straight to the last one.")
def prompts_past_the_others(tokens, positions):
    ends = tokens[[0, -1]]
    return _along(ends, positions / (len(tokens) - 1), _slerped)


@wrong(PROMPTS, "at the last position the way starts anew: it gives the last keyframe but one.")
def prompts_without_the_end(tokens, positions):
    return _along(tokens, positions, _slerped, lambda p, k: (_way(p, k)[0], p % 1))


@wrong(PROMPTS, "the part of the way is the whole position, so it goes beyond the next keyframe.")
def prompts_beyond(tokens, positions):
    return _along(tokens, positions, _slerped, lambda p, k: (_way(p, k)[0], p))


@wrong(PROMPTS, "each part of the way is walked backwards.")
def prompts_backwards(tokens, positions):
    return _along(tokens, positions, lambda v0, v1, a: _slerped(v1, v0, a))


@wrong(PROMPTS, "the numbers of one place in all tokens are turned, not those of one token.")
def prompts_across_the_tokens(tokens, positions):
    return _along(tokens.transpose(1, 2), positions, _slerped).transpose(1, 2)


@wrong(PROMPTS, "the part of the way is eased; `positions` says exactly where a frame is.")
def prompts_eased(tokens, positions):
    return _along(tokens, positions, lambda v0, v1, a: _slerped(v0, v1, a * a * (3 - 2 * a)))


@wrong(PROMPTS, "only the last token turns; the others go along a straight line.")
def prompts_of_the_last_token(tokens, positions):
    whole = _along(tokens, positions, _line)
    last = _along(tokens[:, -1:], positions, _slerped)
    return torch.cat([whole[:, :-1], last], dim=1) if tokens.shape[1] > 1 else whole


@wrong(PROMPTS, "all frames have the first frame's part of the way.")
def prompts_with_one_part(tokens, positions):
    return _along(
        tokens, positions, _slerped, lambda p, k: (_way(p, k)[0], _way(p, k)[1][:1].expand_as(p))
    )


def _drawn(seed, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _keys(seeds, shape):
    return torch.stack([_drawn(seed, shape) for seed in seeds])


def _between_keys(keys, positions, turn=_slerped):
    start, a = _way(positions, len(keys))
    return turn(keys[start], keys[start + 1], a)


@wrong(NOISE, "noises go along a straight line: in the middle they are 0.71 as strong, and grey.")
def noise_along_the_line(seeds, positions, shape):
    return _between_keys(_keys(seeds, shape), positions, _line)


@wrong(NOISE, "the seed of torch's shared generator is set; take a generator of your own.")
def noise_by_the_shared_generator(seeds, positions, shape):
    keys = []
    for seed in seeds:
        torch.manual_seed(seed)
        keys.append(torch.randn(shape))
    return _between_keys(torch.stack(keys), positions)


@wrong(NOISE, "the seeds are not used: the noise is another one at every call.")
def noise_without_seeds(seeds, positions, shape):
    keys = torch.stack([torch.randn(shape) for _ in seeds])
    return _between_keys(keys, positions)


@wrong(NOISE, "one generator draws one noise after the other; each keyframe has its own seed.")
def noise_of_one_generator(seeds, positions, shape):
    generator = torch.Generator().manual_seed(seeds[0])
    keys = torch.stack([torch.randn(shape, generator=generator) for _ in seeds])
    return _between_keys(keys, positions)


@wrong(NOISE, "each part of the way draws two new noises, so the joint between two parts jumps.")
def noise_of_each_part(seeds, positions, shape):
    start, a = _way(positions, len(seeds))
    pairs = []
    for seed in seeds[:-1]:
        generator = torch.Generator().manual_seed(seed)
        pairs.append([torch.randn(shape, generator=generator) for _ in range(2)])
    v0, v1 = (torch.stack([pairs[k][end] for k in start.tolist()]) for end in (0, 1))
    return _slerped(v0, v1, a)


@wrong(NOISE, "every part of the way goes from the first seed to the second: joints jump.")
def noise_of_the_first_two(seeds, positions, shape):
    keys = _keys(seeds[:2], shape)
    _, a = _way(positions, len(seeds))
    return _slerped(keys[:1].expand(len(a), *shape), keys[1:].expand(len(a), *shape), a)


@wrong(NOISE, "every frame has a noise of its own seed: the picture flickers.")
def noise_of_every_frame(seeds, positions, shape):
    return torch.stack([_drawn(seeds[0] + frame, shape) for frame in range(len(positions))])


@wrong(NOISE, "all frames have the first keyframe's noise.")
def noise_of_the_first(seeds, positions, shape):
    return _drawn(seeds[0], shape).repeat(len(positions), *[1] * len(shape))


@wrong(NOISE, "the nearest keyframe's noise is taken: it jumps half-way.")
def noise_of_the_nearest(seeds, positions, shape):
    return _keys(seeds, shape)[positions.round().long()]


@wrong(NOISE, "all frames are one vector for slerp, with one angle for all of them.")
def noise_as_one_vector(seeds, positions, shape):
    return _between_keys(_keys(seeds, shape), positions, slerp_of_the_batch.function)


@wrong(NOISE, "at the last position the way starts anew: it gives the last keyframe but one.")
def noise_without_the_end(seeds, positions, shape):
    keys = _keys(seeds, shape)
    start, _ = _way(positions, len(seeds))
    return _slerped(keys[start], keys[start + 1], positions % 1)


@wrong(NOISE, "the way leads from the first keyframe's noise straight to the last one's.")
def noise_past_the_others(seeds, positions, shape):
    keys = _keys([seeds[0], seeds[-1]], shape)
    return _between_keys(keys, positions / (len(seeds) - 1))


@wrong(NOISE, "each part of the way is walked backwards.")
def noise_backwards(seeds, positions, shape):
    return _between_keys(_keys(seeds, shape), positions, lambda v0, v1, a: _slerped(v1, v0, a))


@wrong(NOISE, "it is drawn from a uniform distribution, from 0 to 1.")
def noise_uniform(seeds, positions, shape):
    keys = [torch.rand(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return _between_keys(torch.stack(keys), positions)


@wrong(NOISE, "channels turn one by one; the noise of a frame is one vector.")
def noise_channel_by_channel(seeds, positions, shape):
    keys = _keys(seeds, shape)
    start, a = _way(positions, len(seeds))
    v0, v1 = keys[start], keys[start + 1]
    channels = a.repeat_interleave(shape[0])
    return _slerped(v0.flatten(0, 1), v1.flatten(0, 1), channels).view_as(v0)


@wrong(NOISE, "the keyframes' noises are set to mean 0 and deviation 1 after they are drawn.")
def noise_standardised(seeds, positions, shape):
    keys = _keys(seeds, shape)
    dims = tuple(range(1, keys.dim()))
    keys = (keys - keys.mean(dims, keepdim=True)) / keys.std(dims, keepdim=True)
    return _between_keys(keys, positions)


def _base(x, weight, bias):
    y = x @ weight.T
    return y if bias is None else y + bias


def _added(x, lora_A, lora_B):
    """B A x."""
    return x @ lora_A.T @ lora_B.T


@wrong(LAYER, "alpha is not divided by the rank: adapters of other ranks have other strengths.")
def lora_without_the_rank(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, bias) + alpha * _added(x, lora_A, lora_B)


@wrong(LAYER, "the factor is upside down: it is r / alpha.")
def lora_upside_down(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, bias) + len(lora_A) / alpha * _added(x, lora_A, lora_B)


@wrong(LAYER, "the factor alpha / r is missing.")
def lora_without_a_factor(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, bias) + _added(x, lora_A, lora_B)


@wrong(LAYER, "alpha is missing: only the rank divides.")
def lora_without_alpha(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, bias) + _added(x, lora_A, lora_B) / len(lora_A)


@wrong(LAYER, "it is divided by the root of the rank. That is rsLoRA, a later proposal.")
def lora_by_the_root(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, bias) + alpha / len(lora_A) ** 0.5 * _added(x, lora_A, lora_B)


@wrong(LAYER, "it is divided by the width of the layer, not by the rank.")
def lora_by_the_width(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, bias) + alpha / len(lora_B) * _added(x, lora_A, lora_B)


@wrong(LAYER, "B comes first and then A: x is multiplied by the transposed product.")
def lora_swapped(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, bias) + alpha / len(lora_A) * (x @ lora_B @ lora_A)


@wrong(LAYER, "the weight is not transposed: W x is x @ W.T for a row x.")
def lora_with_the_weight_transposed(x, weight, bias, lora_A, lora_B, alpha):
    added = alpha / len(lora_A) * _added(x, lora_A, lora_B)
    return x @ weight + (0 if bias is None else bias) + added


@wrong(LAYER, "the factor multiplies W x too; it belongs to the adapter.")
def lora_with_the_layer_scaled(x, weight, bias, lora_A, lora_B, alpha):
    factor = alpha / len(lora_A)
    return _base(factor * x, weight, bias) + factor * _added(x, lora_A, lora_B)


@wrong(LAYER, "the factor multiplies the bias too; it belongs to the adapter.")
def lora_with_the_bias_scaled(x, weight, bias, lora_A, lora_B, alpha):
    factor = alpha / len(lora_A)
    scaled = None if bias is None else factor * bias
    return _base(x, weight, scaled) + factor * _added(x, lora_A, lora_B)


@wrong(LAYER, "the bias is added twice.")
def lora_with_the_bias_twice(x, weight, bias, lora_A, lora_B, alpha):
    twice = None if bias is None else 2 * bias
    return _base(x, weight, twice) + alpha / len(lora_A) * _added(x, lora_A, lora_B)


@wrong(LAYER, "the bias is missing.")
def lora_without_bias(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, None) + alpha / len(lora_A) * _added(x, lora_A, lora_B)


@wrong(LAYER, "the frozen layer is missing: only the adapter answers.")
def lora_alone(x, weight, bias, lora_A, lora_B, alpha):
    return alpha / len(lora_A) * _added(x, lora_A, lora_B)


@wrong(LAYER, "the adapter is applied to what the layer gives; it stands beside the layer.")
def lora_behind_the_layer(x, weight, bias, lora_A, lora_B, alpha):
    y = _base(x, weight, bias)
    return y + alpha / len(lora_A) * _added(y, lora_A, lora_B)


@wrong(LAYER, "the adapter takes the layer's place by parts: W x has the weight 1 - alpha / r.")
def lora_mixed(x, weight, bias, lora_A, lora_B, alpha):
    return torch.lerp(_base(x, weight, bias), _added(x, lora_A, lora_B), alpha / len(lora_A))


@wrong(LAYER, "the adapter is cut out of the graph, so it can never learn.")
def lora_that_cannot_learn(x, weight, bias, lora_A, lora_B, alpha):
    added = _added(x, lora_A.detach(), lora_B.detach())
    return _base(x, weight, bias) + alpha / len(lora_A) * added


@wrong(LAYER, "negative features A x are set to 0; the adapter is linear.")
def lora_rectified(x, weight, bias, lora_A, lora_B, alpha):
    features = (x @ lora_A.T).relu()
    return _base(x, weight, bias) + alpha / len(lora_A) * features @ lora_B.T


@wrong(LAYER, "the adapter is taken off; it is to be added.")
def lora_taken_off(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, bias) - alpha / len(lora_A) * _added(x, lora_A, lora_B)


@both(lora_without_the_rank, lora_without_bias)
def lora_without_rank_and_bias(x, weight, bias, lora_A, lora_B, alpha):
    return _base(x, weight, None) + alpha * _added(x, lora_A, lora_B)


def _noised(denoiser, x0, t, eps):
    alpha_bar = denoiser.alpha_bar(t)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def _gap(denoiser, x0, text, t, eps):
    """Prediction minus target, as it should be."""
    xt = _noised(denoiser, x0, t, eps)
    return denoiser.predict(xt, t, text) - denoiser.target(x0, eps, t)


def _both_parts(error, preserved, prior_weight):
    """As they should be summed."""
    new = len(error) - preserved
    loss = error[:new].mean()
    return loss + prior_weight * error[new:].mean() if preserved else loss


@wrong(LOSS, "the target is eps, whatever the model predicts: one that predicts v unlearns it.")
def loss_of_eps(denoiser, x0, text, t, eps, preserved, prior_weight):
    gap = denoiser.predict(_noised(denoiser, x0, t, eps), t, text) - eps
    return _both_parts(gap.square(), preserved, prior_weight)


@wrong(LOSS, "the model is told the next timestep, while xt has the noise of t.")
def loss_told_another_time(denoiser, x0, text, t, eps, preserved, prior_weight):
    xt = _noised(denoiser, x0, t, eps)
    gap = denoiser.predict(xt, (t + 1).clamp(max=999), text) - denoiser.target(x0, eps, t)
    return _both_parts(gap.square(), preserved, prior_weight)


@wrong(LOSS, "xt has the noise level of the timestep after t.")
def loss_of_another_level(denoiser, x0, text, t, eps, preserved, prior_weight):
    xt = _noised(denoiser, x0, (t + 1).clamp(max=999), eps)
    gap = denoiser.predict(xt, t, text) - denoiser.target(x0, eps, t)
    return _both_parts(gap.square(), preserved, prior_weight)


@wrong(LOSS, "all pictures are averaged together: the preserved ones have no weight of their own.")
def loss_of_all_together(denoiser, x0, text, t, eps, preserved, prior_weight):
    return _gap(denoiser, x0, text, t, eps).square().mean()


@wrong(LOSS, "the pictures are weighted and then averaged together; each part has its own mean.")
def loss_of_one_weighted_mean(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    weights = torch.ones(len(x0), 1, 1, 1)
    weights[len(x0) - preserved :] = prior_weight
    return (weights * error).mean()


@wrong(LOSS, "the preserved pictures are looked for in front; they are the last of the batch.")
def loss_with_preserved_in_front(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    return _both_parts(error.roll(-preserved, 0), preserved, prior_weight)


@wrong(LOSS, "the weight multiplies both parts.")
def loss_with_both_weighted(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    if not preserved:
        return prior_weight * error.mean()
    return prior_weight * _both_parts(error, preserved, 1.0)


@wrong(LOSS, "the weight multiplies the style, not the preserved pictures.")
def loss_with_the_style_weighted(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    if not preserved:
        return error.mean()
    new = len(x0) - preserved
    return prior_weight * error[:new].mean() + error[new:].mean()


@wrong(LOSS, "the preserved part has no weight.")
def loss_without_the_weight(denoiser, x0, text, t, eps, preserved, prior_weight):
    return _both_parts(_gap(denoiser, x0, text, t, eps).square(), preserved, 1.0)


@wrong(LOSS, "the parts are mixed: what the preserved ones get is taken from the style.")
def loss_mixed(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    if not preserved:
        return error.mean()
    new = len(x0) - preserved
    return torch.lerp(error[:new].mean(), error[new:].mean(), prior_weight)


@wrong(LOSS, "the sum of both parts is divided by 1 + prior_weight.")
def loss_divided_by_the_weights(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    loss = _both_parts(error, preserved, prior_weight)
    return loss / (1 + prior_weight) if preserved else loss


@wrong(LOSS, "the preserved pictures are left out: the model forgets what it knew.")
def loss_of_the_style_alone(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    return error[: len(x0) - preserved].mean()


@wrong(LOSS, "the preserved pictures count with the style too, and once more with the weight.")
def loss_with_preserved_twice(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    rest = prior_weight * error[len(x0) - preserved :].mean() if preserved else 0
    return error.mean() + rest


@wrong(LOSS, "the mean of no preserved pictures is added, which is NaN, even with a weight of 0.")
def loss_with_a_mean_of_nothing(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    new = len(x0) - preserved
    return error[:new].mean() + prior_weight * error[new:].mean()


@wrong(LOSS, "`[:-preserved]` is empty where preserved is 0: then the mean of nothing is NaN.")
def loss_cut_from_the_end(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    return error[:-preserved].mean() + prior_weight * error[-preserved:].mean()


@wrong(LOSS, "errors are summed, not averaged: large pictures would learn faster.")
def loss_as_a_sum(denoiser, x0, text, t, eps, preserved, prior_weight):
    error = _gap(denoiser, x0, text, t, eps).square()
    new = len(x0) - preserved
    return error[:new].sum() + prior_weight * error[new:].sum()


@wrong(LOSS, "the absolute error is taken, not its square.")
def loss_of_absolute_errors(denoiser, x0, text, t, eps, preserved, prior_weight):
    return _both_parts(_gap(denoiser, x0, text, t, eps).abs(), preserved, prior_weight)


@wrong(LOSS, "half of the mean square is taken.")
def loss_halved(denoiser, x0, text, t, eps, preserved, prior_weight):
    return _both_parts(_gap(denoiser, x0, text, t, eps).square() / 2, preserved, prior_weight)


@wrong(LOSS, "the prediction is made without a graph, so the adapter never learns.")
def loss_without_a_graph(denoiser, x0, text, t, eps, preserved, prior_weight):
    with torch.no_grad():
        error = _gap(denoiser, x0, text, t, eps).square()
    return _both_parts(error, preserved, prior_weight)


@wrong(LOSS, "the model sees x0 without noise.")
def loss_without_noise(denoiser, x0, text, t, eps, preserved, prior_weight):
    gap = denoiser.predict(x0, t, text) - denoiser.target(x0, eps, t)
    return _both_parts(gap.square(), preserved, prior_weight)


@wrong(LOSS, "eps is added to x0 as it is, without the noise level.")
def loss_of_noise_added(denoiser, x0, text, t, eps, preserved, prior_weight):
    gap = denoiser.predict(x0 + eps, t, text) - denoiser.target(x0, eps, t)
    return _both_parts(gap.square(), preserved, prior_weight)


@wrong(LOSS, "alpha_bar and 1 - alpha_bar are exchanged in xt.")
def loss_of_levels_exchanged(denoiser, x0, text, t, eps, preserved, prior_weight):
    alpha_bar = denoiser.alpha_bar(t)
    xt = (1 - alpha_bar).sqrt() * x0 + alpha_bar.sqrt() * eps
    gap = denoiser.predict(xt, t, text) - denoiser.target(x0, eps, t)
    return _both_parts(gap.square(), preserved, prior_weight)


@wrong(LOSS, "the square roots are missing in xt.")
def loss_without_roots(denoiser, x0, text, t, eps, preserved, prior_weight):
    alpha_bar = denoiser.alpha_bar(t)
    xt = alpha_bar * x0 + (1 - alpha_bar) * eps
    gap = denoiser.predict(xt, t, text) - denoiser.target(x0, eps, t)
    return _both_parts(gap.square(), preserved, prior_weight)


@wrong(LOSS, "the prediction is compared with the picture, not with `target`.")
def loss_of_the_picture(denoiser, x0, text, t, eps, preserved, prior_weight):
    gap = denoiser.predict(_noised(denoiser, x0, t, eps), t, text) - x0
    return _both_parts(gap.square(), preserved, prior_weight)


@wrong(LOSS, "the preserved part is taken off: the model is rewarded for forgetting.")
def loss_with_preserved_taken_off(denoiser, x0, text, t, eps, preserved, prior_weight):
    return _both_parts(_gap(denoiser, x0, text, t, eps).square(), preserved, -prior_weight)


@wrong(LOSS, "the model is asked about each part by itself; one call for all pictures is enough.")
def loss_in_two_calls(denoiser, x0, text, t, eps, preserved, prior_weight):
    new = len(x0) - preserved
    loss = torch.zeros(())
    for part, weight in ((slice(0, new), 1.0), (slice(new, None), prior_weight)):
        if len(x0[part]):
            some = type(text)(text.tokens[part])
            gap = _gap(denoiser, x0[part], some, t[part], eps[part])
            loss = loss + weight * gap.square().mean()
    return loss


@both(loss_of_eps, loss_of_all_together)
def loss_of_eps_of_all_together(denoiser, x0, text, t, eps, preserved, prior_weight):
    return (denoiser.predict(_noised(denoiser, x0, t, eps), t, text) - eps).square().mean()


def _nearest(pixels, palette):
    return (pixels[:, None] - palette).square().sum(2).argmin(1)


def _moved(pixels, palette, nearest=None):
    """To the means of these pixels, as it should be; or of those that belong to it."""
    nearest = _nearest(pixels, palette) if nearest is None else nearest
    members = torch.nn.functional.one_hot(nearest, len(palette)).to(palette.dtype)
    counts = members.sum(0)[:, None]
    return torch.where(counts > 0, members.T @ pixels / counts.clamp(min=1), palette)


@wrong(PALETTE, "each frame finds its own colours, and these are averaged: frames with few pixels "
       "of a colour count as much as others.")  # fmt: skip
def palette_of_each_frame(frames, palette):
    return torch.stack([_moved(frame.reshape(-1, 3), palette) for frame in frames]).mean(0)


@wrong(PALETTE, "a palette is returned for each frame: the animation would flicker.")
def palettes_of_the_frames(frames, palette):
    return torch.stack([_moved(frame.reshape(-1, 3), palette) for frame in frames])


@wrong(PALETTE, "only the first frame's pixels count.")
def palette_of_the_first_frame(frames, palette):
    return _moved(frames[0].reshape(-1, 3), palette)


@wrong(PALETTE, "only the last frame's pixels count.")
def palette_of_the_last_frame(frames, palette):
    return _moved(frames[-1].reshape(-1, 3), palette)


@wrong(PALETTE, "each frame moves the colours that the frame before has moved; all frames count at "
       "once.")  # fmt: skip
def palette_from_frame_to_frame(frames, palette):
    for frame in frames:
        palette = _moved(frame.reshape(-1, 3), palette)
    return palette


@wrong(PALETTE, "frames are averaged first, which makes colours that no frame has.")
def palette_of_the_mean_frame(frames, palette):
    return _moved(frames.mean(0).reshape(-1, 3), palette)


@wrong(PALETTE, "a colour without pixels becomes black; it should stay.")
def palette_with_unused_black(frames, palette):
    pixels = frames.reshape(-1, 3)
    used = torch.zeros(len(palette), 1)
    used[_nearest(pixels, palette)] = 1
    return used * _moved(pixels, palette)


@wrong(PALETTE, "a colour without pixels becomes NaN; it should stay.")
def palette_with_unused_nan(frames, palette):
    pixels = frames.reshape(-1, 3)
    nearest = _nearest(pixels, palette)
    return torch.stack([pixels[nearest == k].mean(0) for k in range(len(palette))])


@wrong(PALETTE, "colours without pixels are left out, so there are fewer of them.")
def palette_without_unused(frames, palette):
    pixels = frames.reshape(-1, 3)
    used = torch.zeros(len(palette), dtype=torch.bool)
    used[_nearest(pixels, palette)] = True
    return _moved(pixels, palette)[used]


@wrong(PALETTE, "a colour without pixels moves to the mean of all of them; it should stay.")
def palette_with_unused_grey(frames, palette):
    pixels = frames.reshape(-1, 3)
    used = torch.zeros(len(palette), 1, dtype=torch.bool)
    used[_nearest(pixels, palette)] = True
    return torch.where(used, _moved(pixels, palette), pixels.mean(0))


@wrong(PALETTE, "colours move to the median of their pixels, not to the mean.")
def palette_of_medians(frames, palette):
    pixels = frames.reshape(-1, 3)
    nearest = _nearest(pixels, palette)
    its = [pixels[nearest == k] for k in range(len(palette))]
    return torch.stack(
        [some.median(0).values if len(some) else palette[k] for k, some in enumerate(its)]
    )


@wrong(PALETTE, "pixels are added up, but not divided by their number.")
def palette_of_sums(frames, palette):
    pixels = frames.reshape(-1, 3)
    nearest = _nearest(pixels, palette)
    sums = torch.zeros_like(palette).index_add_(0, nearest, pixels)
    used = torch.bincount(nearest, minlength=len(palette))[:, None] > 0
    return torch.where(used, sums, palette)


@wrong(PALETTE, "pixels go to the colour that is farthest away: argmax in place of argmin.")
def palette_of_the_farthest(frames, palette):
    pixels = frames.reshape(-1, 3)
    return _moved(pixels, palette, (pixels[:, None] - palette).square().sum(2).argmax(1))


@wrong(PALETTE, "colours are moved one after another, and later ones compete with moved ones.")
def palette_one_after_another(frames, palette):
    pixels, moved = frames.reshape(-1, 3), palette.clone()
    for k in range(len(palette)):
        its = pixels[_nearest(pixels, moved) == k]
        moved[k] = its.mean(0) if len(its) else moved[k]
    return moved


@wrong(PALETTE, "each colour goes to the one pixel that is nearest to it.")
def palette_of_single_pixels(frames, palette):
    pixels = frames.reshape(-1, 3)
    return pixels[(pixels[:, None] - palette).square().sum(2).argmin(0)]


@wrong(PALETTE, "pixels are replaced by their colours before the mean: nothing moves.")
def palette_that_stays(frames, palette):
    return palette.clone()


@wrong(PALETTE, "colours move only half of the way.")
def palette_half_way(frames, palette):
    return (palette + _moved(frames.reshape(-1, 3), palette)) / 2


@wrong(PALETTE, "it makes two steps.")
def palette_in_two_steps(frames, palette):
    pixels = frames.reshape(-1, 3)
    return _moved(pixels, _moved(pixels, palette))


@wrong(PALETTE, "every pixel counts once, however often its colour is there.")
def palette_of_different_colours(frames, palette):
    return _moved(frames.reshape(-1, 3).unique(dim=0), palette)


@wrong(PALETTE, "distances are sums of absolute differences; the nearest colour may be another.")
def palette_by_absolute_differences(frames, palette):
    pixels = frames.reshape(-1, 3)
    return _moved(pixels, palette, (pixels[:, None] - palette).abs().sum(2).argmin(1))


@wrong(PALETTE, "of colours that are equally near the last one counts; the first should.")
def palette_of_the_last_of_equals(frames, palette):
    pixels = frames.reshape(-1, 3)
    distances = (pixels[:, None] - palette).square().sum(2).flip(1)
    return _moved(pixels, palette, len(palette) - 1 - distances.argmin(1))


@wrong(PALETTE, "a pixel that is equally near to two colours counts for both.")
def palette_with_ties_twice(frames, palette):
    pixels = frames.reshape(-1, 3)
    distances = (pixels[:, None] - palette).square().sum(2)
    members = (distances == distances.amin(1, keepdim=True)).float()
    counts = members.sum(0)[:, None]
    return torch.where(counts > 0, members.T @ pixels / counts.clamp(min=1), palette)


@wrong(PALETTE, "the moved colours are limited to 0 to 1; a colour space may go beyond.")
def palette_limited(frames, palette):
    return _moved(frames.reshape(-1, 3), palette).clamp(0, 1)


@wrong(PALETTE, "the colours come back in another order, by how many pixels they have.")
def palette_sorted(frames, palette):
    pixels = frames.reshape(-1, 3)
    counts = torch.bincount(_nearest(pixels, palette), minlength=len(palette))
    return _moved(pixels, palette)[counts.argsort(descending=True, stable=True)]


@wrong(PALETTE, "the palette is moved in place; whoever calls this may still need it.")
def palette_moved_in_place(frames, palette):
    return palette.copy_(_moved(frames.reshape(-1, 3), palette))


@both(palette_of_the_first_frame, palette_of_sums)
def palette_of_the_first_frames_sums(frames, palette):
    return palette_of_sums.function(frames[:1], palette)


def _distances(frames, palette):
    """(F, H, W, K)."""
    return (frames[..., None, :] - palette).norm(dim=-1)


def _held(distances, margin, changes=None):
    """As it should be; or with another rule of (kept, nearest, margin) for a change."""
    held: list[torch.Tensor] = []
    for its in distances:
        nearest, index = its.min(2)
        if held:
            kept = its.gather(2, held[-1][..., None])[..., 0]
            changed = kept - nearest > margin if changes is None else changes(kept, nearest, margin)
            index = torch.where(changed, index, held[-1])
        held.append(index)
    return torch.stack(held)


@wrong(HOLD, "every frame takes the nearest colours: pixels between two colours flicker.")
def hold_nothing(frames, palette, margin):
    return _distances(frames, palette).argmin(3)


@wrong(HOLD, "the first frame's colours are never let go.")
def hold_the_first_frame(frames, palette, margin):
    return _distances(frames, palette)[:1].argmin(3).expand(len(frames), -1, -1).contiguous()


@wrong(HOLD, "what would be kept is always the first frame's colour, not the last one's.")
def hold_compared_with_the_first_frame(frames, palette, margin):
    distances = _distances(frames, palette)
    first = distances[0].argmin(2)
    nearest, index = distances.min(3)
    kept = distances.gather(3, first.expand(len(frames), -1, -1)[..., None])[..., 0]
    return torch.where(kept - nearest > margin, index, first)


@wrong(HOLD, "what would be kept is the colour nearest in the frame before, not the one it kept.")
def hold_the_nearest_before(frames, palette, margin):
    distances = _distances(frames, palette)
    nearest, index = distances.min(3)
    before = torch.cat([index[:1], index[:-1]])
    kept = distances.gather(3, before[..., None])[..., 0]
    return torch.where(kept - nearest > margin, index, before)


@wrong(HOLD, "it is the numbers of colours that must differ by more than the margin.")
def hold_by_numbers(frames, palette, margin):
    held: list[torch.Tensor] = []
    for index in _distances(frames, palette).argmin(3):
        its = index
        if held:
            its = torch.where((index - held[-1]).abs() > margin + 1, index, held[-1])
        held.append(its)
    return torch.stack(held)


@wrong(HOLD, "squares of distances are compared with the margin.")
def hold_by_squares(frames, palette, margin):
    return _held(_distances(frames, palette).square(), margin)


@wrong(HOLD, "a difference of just the margin is enough for a change; it must be larger.")
def hold_until_the_margin(frames, palette, margin):
    return _held(_distances(frames, palette), margin, lambda kept, its, most: kept - its >= most)


@wrong(HOLD, "the margin is a factor of the nearest distance, not a difference.")
def hold_by_a_factor(frames, palette, margin):
    return _held(
        _distances(frames, palette), margin, lambda kept, its, most: kept > (1 + most) * its
    )


@wrong(HOLD, "a colour is kept while it is nearer than the margin, whichever is nearest.")
def hold_within_the_margin(frames, palette, margin):
    return _held(_distances(frames, palette), margin, lambda kept, its, most: kept > most)


@wrong(HOLD, "the rule is turned round: colours change where another one is hardly nearer.")
def hold_turned_round(frames, palette, margin):
    return _held(_distances(frames, palette), margin, lambda kept, its, most: kept - its <= most)


@wrong(HOLD, "the margin is not used: whatever is nearer at all is taken, but not equals.")
def hold_without_margin(frames, palette, margin):
    return _held(_distances(frames, palette), 0.0)


@wrong(HOLD, "pixels change when they differ from the frame before by more than the margin: slow "
       "changes are never seen.")  # fmt: skip
def hold_by_the_frame_before(frames, palette, margin):
    nearest = _distances(frames, palette).argmin(3)
    held = [nearest[0]]
    for frame in range(1, len(frames)):
        gap = (frames[frame] - frames[frame - 1]).norm(dim=2)
        held.append(torch.where(gap > margin, nearest[frame], held[-1]))
    return torch.stack(held)


@wrong(HOLD, "pixels change when the two colours of the palette differ by more than the margin.")
def hold_by_the_palettes_distance(frames, palette, margin):
    held: list[torch.Tensor] = []
    for index in _distances(frames, palette).argmin(3):
        its = index
        if held:
            gap = (palette[index] - palette[held[-1]]).norm(dim=2)
            its = torch.where(gap > margin, index, held[-1])
        held.append(its)
    return torch.stack(held)


@wrong(HOLD, "it looks from the last frame backwards.")
def hold_from_the_end(frames, palette, margin):
    return _held(_distances(frames, palette).flip(0), margin).flip(0)


@wrong(HOLD, "it begins with the palette's first colour everywhere, not with the nearest.")
def hold_from_the_first_colour(frames, palette, margin):
    distances = _distances(frames, palette)
    start = torch.ones(1, *distances.shape[1:])
    start[..., 0] = 0
    return _held(torch.cat([start, distances]), margin)[1:]


@wrong(HOLD, "one pixel that must change makes the whole frame take the nearest colours.")
def hold_frame_by_frame(frames, palette, margin):
    return _held(
        _distances(frames, palette), margin,
        lambda kept, its, most: (kept - its > most).any().expand_as(kept),
    )  # fmt: skip


@wrong(HOLD, "distances are sums of absolute differences, not Euclidean.")
def hold_by_absolute_differences(frames, palette, margin):
    return _held((frames[..., None, :] - palette).abs().sum(4), margin)


@wrong(HOLD, "the colours themselves are returned, not their numbers.")
def hold_colours_themselves(frames, palette, margin):
    return palette[_held(_distances(frames, palette), margin)]


@wrong(HOLD, "of colours that are equally near the last one counts; the first should.")
def hold_the_last_of_equals(frames, palette, margin):
    return len(palette) - 1 - _held(_distances(frames, palette).flip(3), margin)


@wrong(HOLD, "the numbers are not int64.")
def hold_in_bytes(frames, palette, margin):
    return _held(_distances(frames, palette), margin).to(torch.uint8)


@wrong(HOLD, "frames are mixed with those before them, and then the nearest colour is taken.")
def hold_by_smoothing(frames, palette, margin):
    smooth = [frames[0]]
    for frame in frames[1:]:
        smooth.append((smooth[-1] + frame) / 2)
    return _distances(torch.stack(smooth), palette).argmin(3)


@both(hold_by_squares, hold_from_the_end)
def hold_by_squares_from_the_end(frames, palette, margin):
    return _held(_distances(frames, palette).square().flip(0), margin).flip(0)
