"""A prior without weights: the exact score of a Gaussian mixture over latents.

Every formula of every method has a known answer on it, within milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.models.parameterization import ddim, even_timesteps, v_from_eps, x0_from_eps
from distillery.models.prior import (
    Condition,
    Control,
    Prior,
    check_steps,
    guided_noise,
    stack_branches,
)
from distillery.models.regions import fit_bias
from distillery.models.schedule import scaled_linear_alphas_cumprod


class GaussianMixturePrior(Prior):
    """x0 ~ sum_k w_k N(mu_k, std^2 I), so that

        xt ~ sum_k w_k N(sqrt(alpha_bar) mu_k, v I),   v = alpha_bar std^2 + 1 - alpha_bar,
        eps(xt, t) = -sqrt(1 - alpha_bar) grad log p(xt)
                   = sqrt(1 - alpha_bar) (xt - sqrt(alpha_bar) sum_k r_k mu_k) / v

    with r_k the probability of component k given xt; Song et al. 2021 relate score and eps so. A
    prompt selects components, the empty prompt all of them; the condition's tokens `(B, 1, K)` are
    the logarithms of the weights that remain. It knows latents of the means' size alone, unless
    these are a single cell, which then stands for every cell. SDXL's sizes change nothing.

    Args:
        means: mu, `(K, C, h, w)`, or `(K, C, 1, 1)` for latents of any size.
        std: standard deviation of every component, positive.
        weights: `(K,)`, positive, of any sum; equal by default.
        names: prompt -> indices of its components.
        device: where it lives.
        latent_size: (h, w) that counts as trained; by default the means'.
    """

    def __init__(
        self,
        means: Tensor,
        std: float,
        weights: Tensor | None = None,
        names: Mapping[str, Sequence[int]] | None = None,
        *,
        device: torch.device | str = "cpu",
        latent_size: tuple[int, int] | None = None,
    ) -> None:
        self.device = torch.device(device)
        # Far from the means the responsibilities depend on small differences of large distances.
        precision = torch.float32 if self.device.type == "mps" else torch.float64
        self.means = means.to(self.device, precision)
        self.std = std
        weights = torch.ones(len(means)) if weights is None else weights
        self.log_weights = weights.to(self.device, precision).log().log_softmax(dim=0)
        self.names = {"": range(len(means)), **(names or {})}
        self.latent_channels = means.shape[1]
        self.any_size = means.shape[2:] == (1, 1)
        self.latent_size = latent_size or (means.shape[2], means.shape[3])
        self.image_size = self.latent_size
        self.alphas_cumprod = scaled_linear_alphas_cumprod().float().to(self.device)

    def embed(self, prompts: Sequence[str]) -> Condition:
        """Select the components of each prompt.

        Raises:
            CourseError: a prompt is not among `names`.
        """
        return Condition(torch.stack([self._selected(prompt) for prompt in prompts])[:, None])

    def _selected(self, prompt: str) -> Tensor:
        if prompt not in self.names:
            known = ", ".join(repr(name) for name in self.names)
            raise CourseError(
                f"the exact prior knows the prompts {known}; it was given {prompt!r}."
            )
        chosen = torch.full_like(self.log_weights, -torch.inf)
        index = torch.tensor(list(self.names[prompt]), device=self.device)
        chosen[index] = self.log_weights[index]
        return chosen.log_softmax(dim=0)

    def token_indices(self, prompt: str, words: str) -> tuple[int, ...]:
        """The components that both prompts have; components are what this prior has for tokens."""
        for name in (prompt, words):
            self._selected(name)  # says which prompts there are
        common = set(self.names[prompt]) & set(self.names[words])
        if not common:
            raise CourseError(
                f"{words!r} is not in the prompt {prompt!r}: they have no component in common."
            )
        return tuple(sorted(common))

    def coarsest_attention(self, size: tuple[int, int]) -> tuple[int, int]:
        """That of the latents themselves: there are no layers."""
        return size

    def encode(self, images: Tensor) -> Tensor:
        """The three colours are the first three latent channels; the others are zero."""
        batch, _, height, width = images.shape
        self._needs_colours()
        return torch.cat(
            [images, images.new_zeros(batch, self.latent_channels - 3, height, width)], 1
        )

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """The first three latent channels."""
        return self.decode_with_grad(latents)

    def decode_with_grad(self, latents: Tensor) -> Tensor:
        self._needs_colours()
        return latents[:, :3].clone()

    def _needs_colours(self) -> None:
        if self.latent_channels < 3:
            raise CourseError(
                "pictures need a mixture with at least 3 channels; "
                f"this one has {self.latent_channels}, use its latents directly."
            )

    @torch.no_grad()
    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        """In closed form.

        A control moves every mean by its strength times its picture, whatever its kind. A region
        adds its strength to the log-probability of its components inside its mask, so that each
        place of the picture has probabilities r_k of its own. Where a mask is 1 everywhere, this is
        the exact prior of the mixture whose weights w_k are multiplied by exp(strength); where it
        is not, eps is no longer the gradient of a density.

        Raises:
            CourseError: xt is of another size than the means.
        """
        if xt.shape[1:] != self.means.shape[1:] and not self.any_size:
            raise CourseError(
                f"this mixture accepts only latents of {tuple(self.means.shape[1:])}; it got "
                f"{tuple(xt.shape[1:])}: choose another model for other sizes."
            )
        shift = torch.zeros_like(xt)
        for control in controls:
            strength = control.strength(t, len(self.alphas_cumprod))
            shift += strength.view(-1, 1, 1, 1) * self.encode(control.image)
        # With every mean moved by d, x0 - d is of the mixture, and so xt - sqrt(alpha_bar) d.
        moved = xt - self.alpha_bar(t).sqrt() * shift
        return self._eps(*stack_branches(moved, t, conditions)).float().chunk(len(conditions))

    def _eps(self, xt: Tensor, t: Tensor, condition: Condition) -> Tensor:
        xt = xt.to(self.means.dtype)
        alpha_bar = self.alpha_bar(t).to(self.means.dtype)
        v = alpha_bar * self.std**2 + 1 - alpha_bar
        centres = alpha_bar.sqrt()[:, None] * self.means  # (B, K, C, h, w)
        distance = (xt[:, None] - centres).square().flatten(2).sum(dim=2)  # (B, K)
        logits = condition.tokens[:, 0] - distance / (2 * v[:, :, 0, 0])
        if condition.attention_bias is None:
            mean = torch.einsum("bk,bkchw->bchw", logits.softmax(dim=1), centres)
        else:
            size = (xt.shape[2], xt.shape[3])
            bias = fit_bias(condition.attention_bias, logits.shape[1], size)
            r = (logits[:, :, None, None] + bias).softmax(dim=1)
            mean = torch.einsum("bkhw,bkchw->bchw", r, centres)
        return (1 - alpha_bar).sqrt() * (xt - mean) / v

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[str],
        *,
        guidance_scale: float,
        steps: int = 30,
        generator: torch.Generator,
        negative: str = "",
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Deterministic DDIM (Song et al. 2021, equation 12 with sigma = 0) from noise to x0.

        Raises:
            CourseError: another `size` than that of the means is asked for.
        """
        if size not in (None, self.image_size) and not self.any_size:
            raise CourseError(
                f"this mixture draws pictures of {self.image_size}; {size} was asked for."
            )
        text, uncond = self.embed(prompts), self.embed([negative] * len(prompts))
        shape = (len(prompts), self.latent_channels, *(size or self.latent_size))
        xt = torch.randn(shape, generator=generator, device=self.device)
        timesteps = self.timesteps(steps)[:, None].expand(-1, len(prompts))
        predict = guided_noise(self, text=text, uncond=uncond, guidance_scale=guidance_scale)
        *_, (_, x0) = ddim(xt, timesteps, alpha_bar=self.alpha_bar, predict=predict)
        return x0

    def timesteps(self, steps: int) -> Tensor:
        check_steps(steps, len(self.alphas_cumprod))
        return even_timesteps(len(self.alphas_cumprod) - 1, steps, device=self.device)


class GaussianDenoiser(nn.Module):
    """The exact denoiser of N(mean, std^2 I), whose mean is learnt: a LoRA for the exact prior.

    It is to a `GaussianMixturePrior` what `distillery.models.lora.LoraDenoiser` is to Stable
    Diffusion, with the same methods:

        eps(xt, t) = sqrt(1 - alpha_bar) (xt - sqrt(alpha_bar) mean) / v,
        v = alpha_bar std^2 + 1 - alpha_bar.

    A prompt's mean is the average of its components, weighted as the prior weights them.

    Args:
        means: what it begins with, `(K, C, h, w)`, K as in the prior that embeds the prompts.
        std: standard deviation, positive.
        predicts_v: `predict` gives v in place of eps.
    """

    def __init__(self, means: Tensor, std: float, *, predicts_v: bool = False) -> None:
        super().__init__()
        self.means = nn.Parameter(means.detach().float().clone())
        self.std = std
        self.predicts_v = predicts_v
        levels = scaled_linear_alphas_cumprod().float().to(means.device)
        self.register_buffer("alphas_cumprod", levels, persistent=False)

    def alpha_bar(self, t: Tensor) -> Tensor:
        """Noise level of the timesteps `t` `(B,)` as `(B, 1, 1, 1)`."""
        return self.get_buffer("alphas_cumprod")[t].view(-1, 1, 1, 1)

    @torch.no_grad()
    def predict_noise(self, xt: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        """As a prior's `predict_noise`, without gradient."""
        return self._eps(*stack_branches(xt, t, conditions)).chunk(len(conditions))

    def predict(self, xt: Tensor, t: Tensor, text: Condition) -> Tensor:
        """What is predicted, eps or v `(B, C, h, w)`, with a graph to the means."""
        eps = self._eps(*stack_branches(xt, t, [text]))
        if not self.predicts_v:
            return eps
        alpha_bar = self.alpha_bar(t)
        return v_from_eps(x0_from_eps(xt, eps, alpha_bar), eps, alpha_bar)

    def target(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What `predict` should have given for x0 noised by `eps` to `t`: eps, or v."""
        return v_from_eps(x0, eps, self.alpha_bar(t)) if self.predicts_v else eps

    def _eps(self, xt: Tensor, t: Tensor, condition: Condition) -> Tensor:
        alpha_bar = self.alpha_bar(t)
        mean = torch.einsum("bk,kchw->bchw", condition.tokens[:, 0].exp().float(), self.means)
        v = alpha_bar * self.std**2 + 1 - alpha_bar
        return (1 - alpha_bar).sqrt() * (xt - alpha_bar.sqrt() * mean) / v


def demonstration_mixture(device: torch.device | str = "cpu") -> GaussianMixturePrior:
    """Six small pictures, a disc and a square in three colours, as a mixture in image space.

    It knows "a red disc", "a disc", "red" and so on.
    """
    colours = {"red": (0.8, -0.6, -0.6), "green": (-0.6, 0.6, -0.5), "blue": (-0.6, -0.4, 0.8)}
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    shapes = {"disc": x**2 + y**2 < 0.5, "square": (x.abs() < 0.6) & (y.abs() < 0.6)}
    means: list[Tensor] = []
    names: dict[str, list[int]] = {}
    for colour, rgb in colours.items():
        for shape, mask in shapes.items():
            pixels = torch.tensor(rgb)[:, None, None]
            for prompt in (f"a {colour} {shape}", f"a {shape}", colour):
                names.setdefault(prompt, []).append(len(means))
            means.append(torch.where(mask, pixels, torch.tensor(0.9)))
    return GaussianMixturePrior(torch.stack(means), std=0.1, names=names, device=device)
