"""Wrong answers to stage 3."""

from __future__ import annotations

import torch

from grading.stages.known_answers import wrong

GRAD = "vsd.vsd_grad"
LORA = "vsd.lora_loss"
STEP = "vsd.alternating_step"


def _noised(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def _guided(network, xt, t, text, uncond, scale):
    eps_uncond, eps_text = network.predict_noise(xt, t, uncond, text)
    return eps_uncond + scale * (eps_text - eps_uncond)


def _predictions(prior, lora, x0, t, eps, text, uncond, scale):
    """eps_prior and eps_lora, as they should be."""
    xt = _noised(x0, eps, prior.alpha_bar(t))
    return _guided(prior, xt, t, text, uncond, scale), lora.predict_noise(xt, t, text)[0]


@torch.no_grad()
def _direction(*arguments):
    """eps_prior - eps_lora, as it should be."""
    eps_prior, eps_lora = _predictions(*arguments)
    return eps_prior - eps_lora


@wrong(GRAD, "the sign is flipped: the particles climb away from the prior.")
def grad_of_vsd_flipped(prior, lora, x0, t, *others):
    return -(1 - prior.alpha_bar(t)) * _direction(prior, lora, x0, t, *others)


@wrong(GRAD, "eps is subtracted instead of the LoRA's prediction: that is SDS.")
@torch.no_grad()
def grad_of_vsd_against_eps(prior, lora, x0, t, eps, text, uncond, scale):
    eps_hat = _guided(prior, _noised(x0, eps, prior.alpha_bar(t)), t, text, uncond, scale)
    return (1 - prior.alpha_bar(t)) * (eps_hat - eps)


@wrong(GRAD, "the LoRA is used as the prior too: only guidance is left.")
@torch.no_grad()
def grad_of_vsd_with_lora_as_prior(prior, lora, x0, t, eps, text, uncond, scale):
    xt = _noised(x0, eps, prior.alpha_bar(t))
    (eps_lora,) = lora.predict_noise(xt, t, text)
    return (1 - prior.alpha_bar(t)) * (_guided(lora, xt, t, text, uncond, scale) - eps_lora)


@wrong(GRAD, "the prior's own branch for the prompt is used instead of the LoRA: that is CSD.")
@torch.no_grad()
def grad_of_vsd_with_prior_as_lora(prior, lora, x0, t, eps, text, uncond, scale):
    xt = _noised(x0, eps, prior.alpha_bar(t))
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    return (1 - prior.alpha_bar(t)) * (scale - 1) * (eps_text - eps_uncond)


@wrong(GRAD, "the LoRA is guided like the prior; its scale must be 1.")
@torch.no_grad()
def grad_of_vsd_with_guided_lora(prior, lora, x0, t, eps, text, uncond, scale):
    xt = _noised(x0, eps, prior.alpha_bar(t))
    eps_prior, eps_lora = (_guided(n, xt, t, text, uncond, scale) for n in (prior, lora))
    return (1 - prior.alpha_bar(t)) * (eps_prior - eps_lora)


@wrong(GRAD, "the prior is not guided: only its branch with the prompt is used.")
def grad_of_vsd_without_guidance(prior, lora, x0, t, eps, text, uncond, scale):
    direction = _direction(prior, lora, x0, t, eps, text, uncond, 1.0)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the CFG branches are swapped: eps come back in the order the conditions went in.")
def grad_of_vsd_with_swapped_branches(prior, lora, x0, t, eps, text, uncond, scale):
    direction = _direction(prior, lora, x0, t, eps, text, uncond, 1 - scale)
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "guidance starts from the LoRA's prediction; both branches are the prior's.")
@torch.no_grad()
def grad_of_vsd_guided_from_lora(prior, lora, x0, t, eps, text, uncond, scale):
    xt = _noised(x0, eps, prior.alpha_bar(t))
    eps_text = prior.predict_noise(xt, t, uncond, text)[1]
    return (1 - prior.alpha_bar(t)) * scale * (eps_text - lora.predict_noise(xt, t, text)[0])


@wrong(GRAD, "the LoRA is asked without the prompt.")
@torch.no_grad()
def grad_of_vsd_with_unconditional_lora(prior, lora, x0, t, eps, text, uncond, scale):
    xt = _noised(x0, eps, prior.alpha_bar(t))
    eps_prior = _guided(prior, xt, t, text, uncond, scale)
    return (1 - prior.alpha_bar(t)) * (eps_prior - lora.predict_noise(xt, t, uncond)[0])


@wrong(GRAD, "v is subtracted from eps: lora.predict gives v here, lora.predict_noise gives eps.")
@torch.no_grad()
def grad_of_vsd_minus_v(prior, lora, x0, t, eps, text, uncond, scale):
    xt = _noised(x0, eps, prior.alpha_bar(t))
    eps_prior = _guided(prior, xt, t, text, uncond, scale)
    return (1 - prior.alpha_bar(t)) * (eps_prior - lora.predict(xt, t, text))


@wrong(
    GRAD,
    "v is turned into eps, but only some LoRAs predict v; lora.predict_noise gives eps of all.",
)
@torch.no_grad()
def grad_of_vsd_from_v(prior, lora, x0, t, eps, text, uncond, scale):
    alpha_bar = prior.alpha_bar(t)
    xt = _noised(x0, eps, alpha_bar)
    eps_lora = alpha_bar.sqrt() * lora.predict(xt, t, text) + (1 - alpha_bar).sqrt() * xt
    return (1 - alpha_bar) * (_guided(prior, xt, t, text, uncond, scale) - eps_lora)


@wrong(GRAD, "lora.predict is used, so the result has a graph to the LoRA's weights.")
def grad_of_vsd_with_graph(prior, lora, x0, t, eps, text, uncond, scale):
    alpha_bar = prior.alpha_bar(t)
    xt = _noised(x0, eps, alpha_bar)
    v = lora.predict(xt, t, text)
    eps_lora = alpha_bar.sqrt() * v + (1 - alpha_bar).sqrt() * xt
    return (1 - alpha_bar) * (_guided(prior, xt, t, text, uncond, scale) - eps_lora)


@wrong(GRAD, "the LoRA sees the particles with different noise than the prior.")
@torch.no_grad()
def grad_of_vsd_with_fresh_noise(prior, lora, x0, t, eps, text, uncond, scale):
    alpha_bar = prior.alpha_bar(t)
    eps_prior = _guided(prior, _noised(x0, eps, alpha_bar), t, text, uncond, scale)
    other = _noised(x0, torch.randn_like(eps), alpha_bar)
    return (1 - alpha_bar) * (eps_prior - lora.predict_noise(other, t, text)[0])


@wrong(GRAD, "the LoRA sees x0 itself; it must be asked at xt, like the prior.")
@torch.no_grad()
def grad_of_vsd_with_lora_at_x0(prior, lora, x0, t, eps, text, uncond, scale):
    alpha_bar = prior.alpha_bar(t)
    eps_prior = _guided(prior, _noised(x0, eps, alpha_bar), t, text, uncond, scale)
    return (1 - alpha_bar) * (eps_prior - lora.predict_noise(x0, t, text)[0])


@wrong(GRAD, "the weight w(t) is missing.")
def grad_of_vsd_without_weight(*arguments):
    return _direction(*arguments)


@wrong(GRAD, "w(t) is alpha_bar where it should be 1 - alpha_bar.")
def grad_of_vsd_weighted_by_signal(prior, lora, x0, t, *others):
    return prior.alpha_bar(t) * _direction(prior, lora, x0, t, *others)


@wrong(GRAD, "w(t) is sqrt(1 - alpha_bar): the weight is the variance, without a root.")
def grad_of_vsd_weighted_by_root(prior, lora, x0, t, *others):
    return (1 - prior.alpha_bar(t)).sqrt() * _direction(prior, lora, x0, t, *others)


@wrong(GRAD, "w(t) is sqrt(alpha_bar), which is dxt/dx0: w(t) already contains it.")
def grad_of_vsd_weighted_by_root_of_signal(prior, lora, x0, t, *others):
    return prior.alpha_bar(t).sqrt() * _direction(prior, lora, x0, t, *others)


@wrong(GRAD, "the first particle's noise level weights the whole batch.")
def grad_of_vsd_weighted_by_the_first(prior, lora, x0, t, *others):
    return (1 - prior.alpha_bar(t)[0]) * _direction(prior, lora, x0, t, *others)


@wrong(GRAD, "the first particle's noise level is used for the whole batch.")
@torch.no_grad()
def grad_of_vsd_at_the_level_of_the_first(prior, lora, x0, t, eps, text, uncond, scale):
    alpha_bar = prior.alpha_bar(t)[:1]
    xt = _noised(x0, eps, alpha_bar)
    eps_prior = _guided(prior, xt, t, text, uncond, scale)
    return (1 - alpha_bar) * (eps_prior - lora.predict_noise(xt, t, text)[0])


@wrong(GRAD, "the square roots are missing where x0 is noised.")
@torch.no_grad()
def grad_of_vsd_noised_without_roots(prior, lora, x0, t, eps, text, uncond, scale):
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar * x0 + (1 - alpha_bar) * eps
    eps_prior = _guided(prior, xt, t, text, uncond, scale)
    return (1 - alpha_bar) * (eps_prior - lora.predict_noise(xt, t, text)[0])


@wrong(GRAD, "both denoisers see x0 itself; they must be asked at xt.")
@torch.no_grad()
def grad_of_vsd_predicted_at_x0(prior, lora, x0, t, eps, text, uncond, scale):
    eps_prior = _guided(prior, x0, t, text, uncond, scale)
    return (1 - prior.alpha_bar(t)) * (eps_prior - lora.predict_noise(x0, t, text)[0])


@wrong(GRAD, "the gradient is clamped to [-1, 1].")
def grad_of_vsd_clamped(prior, lora, x0, t, *others):
    return ((1 - prior.alpha_bar(t)) * _direction(prior, lora, x0, t, *others)).clamp(-1, 1)


@wrong(GRAD, "guidance is left out where the scale is at most 1: a scale of 0 means uncond alone.")
def grad_of_vsd_guided_above_1(prior, lora, x0, t, eps, text, uncond, scale):
    direction = _direction(prior, lora, x0, t, eps, text, uncond, max(scale, 1.0))
    return (1 - prior.alpha_bar(t)) * direction


@wrong(GRAD, "the difference is squared: a loss has a square, its gradient has a sign.")
def grad_of_vsd_squared(prior, lora, x0, t, *others):
    return (1 - prior.alpha_bar(t)) * _direction(prior, lora, x0, t, *others).square()


@wrong(GRAD, "the prior's branches are predicted one after the other; use one call for both.")
@torch.no_grad()
def grad_of_vsd_in_two_calls(prior, lora, x0, t, eps, text, uncond, scale):
    xt = _noised(x0, eps, prior.alpha_bar(t))
    (eps_uncond,), (eps_text,) = (prior.predict_noise(xt, t, c) for c in (uncond, text))
    eps_prior = eps_uncond + scale * (eps_text - eps_uncond)
    return (1 - prior.alpha_bar(t)) * (eps_prior - lora.predict_noise(xt, t, text)[0])


def _error(lora, x0, t, eps, text):
    """Prediction minus target, as it should be but that x0 is not detached."""
    xt = _noised(x0, eps, lora.alpha_bar(t))
    return lora.predict(xt, t, text) - lora.target(x0, eps, t)


@wrong(LORA, "x0 is not detached: the LoRA's training would move the particles too.")
def lora_loss_moving_particles(lora, x0, t, eps, text):
    return _error(lora, x0, t, eps, text).square().mean()


@wrong(LORA, "eps is the target, but this network predicts v: use lora.target.")
def lora_loss_towards_eps(lora, x0, t, eps, text):
    xt = _noised(x0.detach(), eps, lora.alpha_bar(t))
    return (lora.predict(xt, t, text) - eps).square().mean()


@wrong(LORA, "x0 is the target; use lora.target.")
def lora_loss_towards_x0(lora, x0, t, eps, text):
    x0 = x0.detach()
    return (lora.predict(_noised(x0, eps, lora.alpha_bar(t)), t, text) - x0).square().mean()


@wrong(LORA, "x0 and eps are swapped in lora.target.")
def lora_loss_with_swapped_target(lora, x0, t, eps, text):
    x0 = x0.detach()
    xt = _noised(x0, eps, lora.alpha_bar(t))
    return (lora.predict(xt, t, text) - lora.target(eps, x0, t)).square().mean()


@wrong(LORA, "no graph leads to the weights: it uses lora.predict_noise, or torch.no_grad().")
def lora_loss_without_graph(lora, x0, t, eps, text):
    xt = _noised(x0.detach(), eps, lora.alpha_bar(t))
    return (lora.predict_noise(xt, t, text)[0] - eps).square().mean()


@wrong(LORA, "the squares are summed; the learning rate is meant for their mean.")
def lora_loss_summed(lora, x0, t, eps, text):
    return _error(lora, x0.detach(), t, eps, text).square().sum()


@wrong(LORA, "the squares are summed over each latent and averaged only over the batch.")
def lora_loss_averaged_over_batch(lora, x0, t, eps, text):
    return _error(lora, x0.detach(), t, eps, text).square().sum() / len(x0)


@wrong(LORA, "half the mean is taken.")
def lora_loss_halved(lora, x0, t, eps, text):
    return 0.5 * _error(lora, x0.detach(), t, eps, text).square().mean()


@wrong(LORA, "the root of the mean is taken.")
def lora_loss_with_root(lora, x0, t, eps, text):
    return _error(lora, x0.detach(), t, eps, text).square().mean().sqrt()


@wrong(LORA, "absolute differences are averaged instead of squares.")
def lora_loss_absolute(lora, x0, t, eps, text):
    return _error(lora, x0.detach(), t, eps, text).abs().mean()


@wrong(LORA, "there is one loss for each latent; backward needs a single number.")
def lora_loss_for_each(lora, x0, t, eps, text):
    return _error(lora, x0.detach(), t, eps, text).square().mean(dim=(1, 2, 3))


@wrong(LORA, "the weight 1 - alpha_bar is used; the LoRA's loss has no weight.")
def lora_loss_weighted(lora, x0, t, eps, text):
    return ((1 - lora.alpha_bar(t)) * _error(lora, x0.detach(), t, eps, text).square()).mean()


@wrong(LORA, "the squares are weighted by min(SNR, 5) / SNR; the LoRA's loss has no weight.")
def lora_loss_weighted_by_snr(lora, x0, t, eps, text):
    alpha_bar = lora.alpha_bar(t)
    snr = alpha_bar / (1 - alpha_bar)
    squares = _error(lora, x0.detach(), t, eps, text).square()
    return (snr.clamp(max=5) / snr * squares).mean()


@wrong(LORA, "it is smooth_l1_loss or huber_loss, which is no square where the error is above 1.")
def lora_loss_smooth(lora, x0, t, eps, text):
    error = _error(lora, x0.detach(), t, eps, text)
    return torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error))


@wrong(LORA, "the first particle's noise level is used for the whole batch.")
def lora_loss_at_the_level_of_the_first(lora, x0, t, eps, text):
    x0 = x0.detach()
    xt = _noised(x0, eps, lora.alpha_bar(t)[:1])
    return (lora.predict(xt, t, text) - lora.target(x0, eps, t)).square().mean()


@wrong(LORA, "the prediction is detached; detach the particles: the weights must learn.")
def lora_loss_of_a_detached_prediction(lora, x0, t, eps, text):
    xt = _noised(x0, eps, lora.alpha_bar(t))
    return (lora.predict(xt, t, text).detach() - lora.target(x0, eps, t)).square().mean()


@wrong(LORA, "eps is the target, and the root of the mean is taken.")
def lora_loss_towards_eps_with_root(lora, x0, t, eps, text):
    xt = _noised(x0.detach(), eps, lora.alpha_bar(t))
    return (lora.predict(xt, t, text) - eps).square().mean().sqrt()


@wrong(LORA, "x0.detach_() takes the graph of the argument itself away; x0.detach() makes a copy.")
def lora_loss_detaching_the_argument(lora, x0, t, eps, text):
    return _error(lora, x0.detach_(), t, eps, text).square().mean()


@wrong(LORA, "the LoRA is asked about x0 without noise.")
def lora_loss_at_x0(lora, x0, t, eps, text):
    x0 = x0.detach()
    return (lora.predict(x0, t, text) - lora.target(x0, eps, t)).square().mean()


@wrong(LORA, "the square roots are missing where x0 is noised.")
def lora_loss_noised_without_roots(lora, x0, t, eps, text):
    x0, alpha_bar = x0.detach(), lora.alpha_bar(t)
    xt = alpha_bar * x0 + (1 - alpha_bar) * eps
    return (lora.predict(xt, t, text) - lora.target(x0, eps, t)).square().mean()


@wrong(LORA, "new noise is drawn inside and eps is not used.")
def lora_loss_with_fresh_noise(lora, x0, t, eps, text):
    return _error(lora, x0.detach(), t, torch.randn_like(eps), text).square().mean()


def _learn(loss, optimiser):
    optimiser.zero_grad()
    value = loss()
    value.backward()
    optimiser.step()
    return value.detach()


@wrong(STEP, "old gradients stay: neither optimiser's zero_grad is called.")
def step_without_zero_grad(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    loss.backward()
    particle_optimiser.step()
    lora_loss().backward()
    lora_optimiser.step()
    return loss.detach()


@wrong(STEP, "the particles keep old gradients: their optimiser's zero_grad is not called.")
def step_with_stale_particles(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    loss.backward()
    particle_optimiser.step()
    _learn(lora_loss, lora_optimiser)
    return loss.detach()


@wrong(STEP, "the LoRA keeps old gradients: its optimiser's zero_grad is not called.")
def step_with_stale_lora(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = _learn(particle_loss, particle_optimiser)
    lora_loss().backward()
    lora_optimiser.step()
    return loss


@wrong(STEP, "zero_grad is called only at the start: the LoRA then follows both losses.")
def step_forgetting_once(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    lora_optimiser.zero_grad()
    loss = _learn(particle_loss, particle_optimiser)
    lora_loss().backward()
    lora_optimiser.step()
    return loss


@wrong(STEP, "zero_grad comes between backward and step: it clears the new gradients.")
def step_forgetting_too_late(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    loss.backward()
    particle_optimiser.zero_grad()
    particle_optimiser.step()
    lora_loss().backward()
    lora_optimiser.zero_grad()
    lora_optimiser.step()
    return loss.detach()


@wrong(STEP, "gradients are cleared after each step: those that were there before have an effect.")
def step_forgetting_afterwards(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    loss.backward()
    particle_optimiser.step()
    particle_optimiser.zero_grad()
    lora_loss().backward()
    lora_optimiser.step()
    lora_optimiser.zero_grad()
    return loss.detach()


@wrong(STEP, "both optimisers are cleared only at the end.")
def step_forgetting_at_the_end(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    loss.backward()
    particle_optimiser.step()
    lora_loss().backward()
    lora_optimiser.step()
    particle_optimiser.zero_grad()
    lora_optimiser.zero_grad()
    return loss.detach()


@wrong(STEP, "the particles' loss is computed again after their step, and that is returned.")
def step_returning_a_later_loss(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    _learn(particle_loss, particle_optimiser)
    _learn(lora_loss, lora_optimiser)
    return particle_loss().detach()


def _forget_first_group(optimiser):
    for number in optimiser.param_groups[0]["params"]:
        number.grad = None


@wrong(STEP, "only the first group of parameters is cleared; zero_grad clears all of them.")
def step_forgetting_the_first_group(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    _forget_first_group(particle_optimiser)
    loss.backward()
    particle_optimiser.step()
    _forget_first_group(lora_optimiser)
    lora_loss().backward()
    lora_optimiser.step()
    return loss.detach()


@wrong(STEP, "gradients are clipped to length 1 before the steps.")
def step_with_clipped_gradients(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    for value, optimiser in ((loss, particle_optimiser), (None, lora_optimiser)):
        optimiser.zero_grad()
        (lora_loss() if value is None else value).backward()
        torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 1.0)
        optimiser.step()
    return loss.detach()


@wrong(STEP, "a step is skipped where its loss is 0; its gradient need not be.")
def step_skipped_at_a_loss_of_0(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    if loss:
        _learn(lambda: loss, particle_optimiser)
    _learn(lora_loss, lora_optimiser)
    return loss.detach()


@wrong(STEP, "the mean of both losses is returned, and the LoRA steps first.")
def step_of_lora_first_with_mean(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss_of_lora = _learn(lora_loss, lora_optimiser)
    return (_learn(particle_loss, particle_optimiser) + loss_of_lora) / 2


@wrong(
    STEP, "the losses are added, so each side follows the other's too, and the graph is returned."
)
def step_of_the_sum_with_graph(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    particle_optimiser.zero_grad()
    lora_optimiser.zero_grad()
    (loss + lora_loss()).backward()
    particle_optimiser.step()
    lora_optimiser.step()
    return loss


@wrong(STEP, "the LoRA steps first; the particles should step against the LoRA as it is.")
def step_of_lora_first(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    _learn(lora_loss, lora_optimiser)
    return _learn(particle_loss, particle_optimiser)


@wrong(STEP, "both losses are computed before either has stepped: the LoRA's is out of date.")
def step_of_old_losses(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss, loss_of_lora = particle_loss(), lora_loss()
    _learn(lambda: loss, particle_optimiser)
    _learn(lambda: loss_of_lora, lora_optimiser)
    return loss.detach()


@wrong(STEP, "the losses are added, so each side follows the other's loss too.")
def step_of_the_sum(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    particle_optimiser.zero_grad()
    lora_optimiser.zero_grad()
    (loss + lora_loss()).backward()
    particle_optimiser.step()
    lora_optimiser.step()
    return loss.detach()


@wrong(STEP, "the LoRA never steps.")
def step_of_particles_alone(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    return _learn(particle_loss, particle_optimiser)


@wrong(STEP, "the LoRA's loss is computed but its optimiser never steps.")
def step_without_lora_optimiser(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = _learn(particle_loss, particle_optimiser)
    lora_optimiser.zero_grad()
    lora_loss().backward()
    return loss


@wrong(STEP, "the particles never step.")
def step_of_lora_alone(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    _learn(lora_loss, lora_optimiser)
    return loss.detach()


@wrong(STEP, "the particles step twice, a second time after the LoRA's loss.")
def step_of_particles_twice(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = _learn(particle_loss, particle_optimiser)
    _learn(lora_loss, lora_optimiser)
    particle_optimiser.step()
    return loss


@wrong(STEP, "the optimisers are swapped: each side descends the other's loss.")
def step_with_swapped_optimisers(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = _learn(particle_loss, lora_optimiser)
    _learn(lora_loss, particle_optimiser)
    return loss


@wrong(STEP, "nothing is returned.")
def step_without_return(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    _learn(particle_loss, particle_optimiser)
    _learn(lora_loss, lora_optimiser)


@wrong(STEP, "the loss is returned with its graph, which then stays in memory.")
def step_returning_a_graph(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = particle_loss()
    _learn(lambda: loss, particle_optimiser)
    _learn(lora_loss, lora_optimiser)
    return loss


@wrong(STEP, "the loss is returned as a Python number: .item() waits for the device every time.")
def step_returning_a_number(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    loss = _learn(particle_loss, particle_optimiser)
    _learn(lora_loss, lora_optimiser)
    return loss.item()


@wrong(STEP, "the LoRA's loss is returned; return the particles' loss.")
def step_returning_the_loss_of_lora(particle_loss, lora_loss, particle_optimiser, lora_optimiser):
    _learn(particle_loss, particle_optimiser)
    return _learn(lora_loss, lora_optimiser)
