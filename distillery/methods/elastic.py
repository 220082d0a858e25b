"""ElasticDiffusion (Haji-Ali, Balakrishnan and Ordonez 2024, arXiv 2311.18822).

What is where comes from a reference, a small picture of the large one's cells; how neighbours fit
together comes from windows. Differences from the published code, all of them on purpose:

- A reference need not be padded. `reference="unpadded"` has the picture's aspect and about the
  trained area. No model has seen a letterbox.
- Any factor: each cell of the reference has the group of cells that it stands for, 2 x 2 or 3 x 5.
- Windows can lie elsewhere at each step, so that no seam stays in one place.
- The weight of the reduced-resolution guidance is that of a cell, and it pulls x0.
- The way can begin with an enlarged small picture, so that windows want no scenes of their own.
- The reference's direction says one thing for all cells of a group, and guidance makes these blocks
  several times as strong. With `own_details`, the direction that windows have themselves says how
  the cells of a group differ.
- A reference of the picture's size is all there is to ask, and its unconditional noise is the local
  score. So a picture of the trained size is drawn by plain guidance, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from distillery.methods.any_size import (
    Corner,
    ElasticFunctions,
    Wanted,
    predict_views,
    predict_whole,
)
from distillery.methods.guided_ddim import Noise, Prediction, level
from distillery.methods.reference_cells import all_reads, cells, details, reference_size
from distillery.methods.reference_frame import Frame
from distillery.models.parameterization import add_noise, ddim_step, x0_from_eps
from distillery.models.prior import Condition, Prior

SECOND_PASS = 1 / 3  # of the guidance scale, when a step is repainted


@dataclass(frozen=True)
class ElasticKnobs:
    """What can be set.

    resampling_steps: R, how many rounds of other cells follow the first one, at every step.
    new_p: the part of the reference's cells that read another one in a round, from 0 to 1.
    rrg_weight: the part of the way to the reference that x0 is pulled at the first step, 0 to 1.
    rrg_stop_t: the last part of the way, which goes without it, from 0 to below 1.
    cosine_scale: how soon the pull becomes weak, at least 0.
    repaint_sampling: go back to the noise of the step, and take it again with weaker guidance.
    patch_size: of a window, in cells; half of the trained size if it is None.
    moving_windows: put the windows elsewhere at each step.
    reference: "unpadded", of the picture's aspect and about the trained area, or "padded", inside
        the trained size, with one colour around it.
    own_details: ask windows with the prompt too, for how the direction differs within a group.
    strength: the part of the way that is drawn, above 0; below 1 the way begins with the enlarged
        small picture, as that of `upscale` does, so that what is where is settled.
    """

    resampling_steps: int = 2
    new_p: float = 0.3
    rrg_weight: float = 1.0
    rrg_stop_t: float = 0.2
    cosine_scale: float = 3.0
    repaint_sampling: bool = False
    patch_size: int | None = None
    moving_windows: bool = True
    reference: Literal["unpadded", "padded"] = "unpadded"
    own_details: bool = False
    strength: float = 1.0


class Elastic:
    """The noise and the changes of a way; `guided_ddim.steered` takes both.

    `cells` says how the picture belongs to its reference, and `is_whole` that they are the same.
    All that is random is drawn from the step's index, so a run can go on after any step.

    Args:
        timesteps: int64 (steps + 1,), a whole way from noise.
        noise: fresh noise (B, C, h, w) of an index, for repainting.
        frame: makes the reference a padded one, with this around it.
        local: the prior that windows ask, for example one with an adapter for parts of pictures;
            by default the same one.
    """

    def __init__(
        self,
        prior: Prior,
        functions: ElasticFunctions,
        wanted: Wanted,
        knobs: ElasticKnobs,
        *,
        timesteps: Tensor,
        noise: Noise,
        frame: Frame | None = None,
        local: Prior | None = None,
    ) -> None:
        self._prior, self._functions, self._wanted, self._knobs = prior, functions, wanted, knobs
        self._local_prior = local or prior
        self._timesteps, self._noise, self._frame = timesteps, noise, frame
        self._indices = {t: index for index, t in enumerate(timesteps[:-1].tolist())}
        reference = reference_size(prior, wanted.size) if frame is None else frame.size
        self.cells = cells(wanted.size, reference)
        self.window = window_of(prior, knobs)
        self.is_whole = self.cells.size == wanted.size
        self._repaints = knobs.repaint_sampling and knobs.resampling_steps > 0 and not self.is_whole
        self._x0_reference = torch.empty(0)

    def predict(self, xt: Tensor, t: Tensor) -> Tensor:
        """The noise (B, C, h, w) to follow, of latents at timesteps (B,)."""
        return self._eps(
            xt, t, rounds=self._knobs.resampling_steps, guidance_scale=self._wanted.guidance_scale
        )

    def change(self, its: Prediction) -> Tensor:
        """The latents after a step: repainted if that is asked for, and pulled to the reference."""
        steps, knobs = len(self._timesteps) - 1, self._knobs
        t, t_next = self._timesteps[its.index], self._timesteps[its.index + 1]
        alpha_bar, alpha_bar_next = (level(self._prior.alphas_cumprod, one) for one in (t, t_next))
        x0, eps = its.x0, its.eps
        if self._repaints and its.index < steps - 1:
            # From the level of t_next to that of t, the noise of all timesteps between in one go.
            xt = add_noise(its.xt_next, self._noise(its.index), alpha_bar / alpha_bar_next)
            weaker = SECOND_PASS * self._wanted.guidance_scale
            eps = self._eps(xt, t.expand(len(xt)), rounds=0, guidance_scale=weaker)
            _, x0 = ddim_step(xt, eps, alpha_bar, alpha_bar_next)
        pulled = self._functions.reduced_resolution_guidance(
            x0,
            self._x0_reference,
            self.cells.owner,
            knobs.rrg_weight,
            its.index / steps,
            knobs.rrg_stop_t,
            knobs.cosine_scale,
        )
        return add_noise(pulled, eps, alpha_bar_next)

    def _eps(self, xt: Tensor, t: Tensor, *, rounds: int, guidance_scale: float) -> Tensor:
        """The noise to follow; it leaves the reference's x0 behind for `change`."""
        index = self._indices[int(t[0])]
        reads = all_reads(
            self._functions,
            self.cells,
            rounds=0 if self.is_whole else rounds,
            new_p=self._knobs.new_p,
            seed=index,
        )

        def predict(references: Tensor) -> Tensor:
            eps_uncond, eps_text = self._reference_noise(references, t, index)
            eps = eps_uncond[-1] + guidance_scale * (eps_text[-1] - eps_uncond[-1])
            self._x0_reference = x0_from_eps(references[-1], eps, self._prior.alpha_bar(t))
            return torch.cat([eps_uncond, eps_text], dim=2)

        owner = self.cells.owner
        eps_uncond, eps_text = self._functions.from_reference(predict, xt, reads, owner).chunk(2, 1)
        if self.is_whole:
            local = eps_uncond
        elif self._knobs.own_details:
            local = self._local(xt, t, index, self._wanted.uncond)
            own = self._local(xt, t, index, self._wanted.text) - local
            eps_text = eps_text + details(own, owner)
        else:
            local = self._local(xt, t, index, self._wanted.uncond)
        return self._functions.elastic_eps(local, eps_uncond, eps_text, guidance_scale)

    def _reference_noise(self, references: Tensor, t: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Unconditional and with the prompt, of (R, B, C, hr, wr)."""
        wanted = self._wanted
        branches = (wanted.uncond, wanted.text)
        if self._frame is None:
            uncond, text = predict_whole(self._prior, wanted, references, t, branches)
            return uncond, text
        framed = self._frame.around(references, self._prior.alpha_bar(t), index)
        controls = [self._frame.control(c, self._prior) for c in wanted.controls]
        wanted = replace(wanted, controls=controls)
        uncond, text = predict_whole(self._prior, wanted, framed, t, branches)
        return self._frame.inside(uncond), self._frame.inside(text)

    def _local(self, xt: Tensor, t: Tensor, index: int, condition: Condition) -> Tensor:
        rows, columns = self.cover(index)
        corners = [
            Corner(top, left) for top in rows[:, 0].tolist() for left in columns[:, 0].tolist()
        ]

        def predict(views: Tensor) -> Tensor:
            (eps,) = predict_views(self._local_prior, self._wanted, views, t, [condition], corners)
            return eps

        return self._functions.local_score(predict, xt, rows, columns)

    def cover(self, index: int) -> tuple[Tensor, Tensor]:
        """Where the windows are at the step of that index: rows (M, 4) and columns (N, 4)."""
        (h, w), (read_h, read_w) = self._wanted.size, self._prior.latent_size
        high, wide = self.window
        down, across = shifts(index, self.window) if self._knobs.moving_windows else (0, 0)
        rows = self._functions.cover(h, high, read_h, down)
        return rows, self._functions.cover(w, wide, read_w, across)


def window_of(prior: Prior, knobs: ElasticKnobs) -> tuple[int, int]:
    """(a, b) of a window; no side is longer than what the network reads."""
    side = knobs.patch_size or max(1, min(prior.latent_size) // 2)
    high, wide = (min(side, read) for read in prior.latent_size)
    return high, wide


def shifts(index: int, window: tuple[int, int]) -> tuple[int, int]:
    """Where the windows of a step begin; over the steps, all places come about equally often."""
    generator = torch.Generator().manual_seed(index)
    down, across = (int(torch.randint(side, (), generator=generator)) for side in window)
    return down, across
