"""The data of the visible checks, made by running the reference and every known misconception."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from distillery.errors import CourseError
from distillery.evidence import Case, Observation, observe
from grading.answers import Answer
from grading.misconceptions import MISCONCEPTIONS
from grading.stages import Stage

COLOURS = {
    ".": (0.1, 0.5, 0.85),  # sky
    "~": (-0.7, -0.2, 0.4),  # water
    "#": (0.8, -0.5, -0.6),  # red
    "/": (0.95, 0.95, 0.9),  # sail
    "o": (-0.1, -0.5, -0.75),  # wood
}
BOAT = """
..............
......o.......
....../o......
.....//o/.....
....///o//....
...////o///...
.......o......
..oooooooooo..
~~~oooooooo~~~
~~~~~~~~~~~~~~
"""
HEART = """
..............
...##....##...
..####..####..
..##########..
..##########..
...########...
....######....
.....####.....
......##......
..............
"""
GUIDANCE_SCALE = 7.5


def checks(stage: Stage, reference: dict[str, Callable[..., Any]]) -> tuple[bytes, str]:
    """The stage's data/checks files: its tensors as safetensors, the rest as JSON.

    Args:
        reference: function name -> right answer.

    Raises:
        CourseError: a misconception does on these inputs what the reference, or another, does.
    """
    tensors: dict[str, Tensor] = {}
    tasks: dict[str, Any] = {}
    for number, function in enumerate(stage.points, start=1):
        task = f"{stage.module}.{function}"
        case = CASES[task]()
        wanted = observe(reference[function], case)
        wrong = {
            answer: observe(answer.function, case)
            for answer in MISCONCEPTIONS
            if answer.task == task
        }
        _check_distinct(task, wanted, wrong)
        tasks[function] = {
            "number": number,
            "case": _case_facts(case),
            "wanted": wanted.facts,
            "misconceptions": {
                answer.name: {"sentence": answer.sentence, "facts": came.facts}
                for answer, came in wrong.items()
            },
        }
        tensors |= {f"{function}/{name}": tensor for name, tensor in case.tensors.items()}
        tensors |= _values(function, wanted, wrong)
        if case.mixture:
            tensors["prior/means"] = case.mixture["means"]
    facts = {"notebook": str(stage.notebook), "tasks": tasks}
    return save(tensors), json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _values(
    function: str, wanted: Observation, wrong: dict[Answer, Observation]
) -> dict[str, Tensor]:
    """The values that are compared; one that changes at every call is not."""
    named = {"wanted": wanted} | {f"wrong/{answer.name}": came for answer, came in wrong.items()}
    return {
        f"{function}/{name}": came.value.contiguous()
        for name, came in named.items()
        if came.value is not None and came.facts.get("repeatable", True)
    }


def _check_distinct(task: str, wanted: Observation, wrong: dict[Answer, Observation]) -> None:
    seen = {"the reference": wanted}
    for answer, came in wrong.items():
        for name, other in seen.items():
            if came.equals(other):
                raise CourseError(f"{task}: the check cannot tell {answer.name} from {name}.")
        seen[answer.name] = came


def _case_facts(case: Case) -> dict[str, Any]:
    facts = {
        "kind": case.kind,
        "arguments": list(case.arguments),
        "values": case.values,
        "prompts": case.prompts,
        "mixture": {name: value for name, value in case.mixture.items() if name != "means"},
        "with_graph": list(case.with_graph),
    }
    return {name: value for name, value in facts.items() if value}


def picture(rows: str) -> Tensor:
    """A picture (3, h, w) in [-1, 1] from rows of the letters of COLOURS."""
    pixels = [[COLOURS[letter] for letter in row] for row in rows.split()]
    return torch.tensor(pixels).permute(2, 0, 1).contiguous()


def _pictures() -> Tensor:
    return torch.stack([picture(BOAT), picture(HEART)])


def _noise(seed: int, like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def _levels() -> Tensor:
    """Far from 0, 1 and a half, where mistakes would hide, and different for the two latents."""
    return torch.tensor([0.85, 0.35]).view(2, 1, 1, 1)


def add_noise() -> Case:
    x0 = _pictures()
    tensors = {"x0": x0, "eps": _noise(1, x0), "alpha_bar": _levels()}
    return Case("value", tuple(tensors), tensors)


def predict_x0() -> Case:
    """The noise given is not quite the noise put in, as with a network."""
    x0, alpha_bar = _pictures(), _levels()
    eps = _noise(2, x0)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    tensors = {"xt": xt, "eps": eps + 0.2 * _noise(3, x0), "alpha_bar": alpha_bar}
    return Case("value", tuple(tensors), tensors)


def classifier_free_guidance() -> Case:
    """The two branches differ by a picture."""
    uncond = _noise(4, _pictures())
    tensors = {"eps_uncond": uncond, "eps_text": uncond - 0.4 * _pictures()}
    return Case(
        "value", (*tensors, "guidance_scale"), tensors, values={"guidance_scale": GUIDANCE_SCALE}
    )


def sample_timesteps() -> Case:
    values = {"steps": 100, "t_min": 20, "t_max": 40}
    return Case("draws", ("batch", "step", "steps", "t_min", "t_max", "generator"), values=values)


def sds_grad() -> Case:
    """Each latent shows something of both pictures and is asked for the one it shows less of."""
    boat, heart = _pictures()
    x0 = torch.stack([0.4 * boat + 0.6 * heart, 0.6 * boat + 0.4 * heart])
    return Case(
        "value",
        ("prior", "x0", "t", "eps", "text", "uncond", "guidance_scale"),
        {"x0": x0, "t": torch.tensor([350, 700]), "eps": _noise(5, x0)},
        values={"guidance_scale": GUIDANCE_SCALE},
        prompts={"text": ["a boat", "a heart"], "uncond": ["", ""]},
        mixture={
            "means": _pictures(),
            "std": 0.3,
            "names": {"a boat": [0], "a heart": [1]},
        },
        with_graph=("x0",),
    )


def sds_loss() -> Case:
    boat, heart = _pictures()
    tensors = {"x0": _pictures(), "grad": torch.stack([boat - heart, heart - boat])}
    return Case("gradient", tuple(tensors), tensors, with_graph=("x0",))


CASES: dict[str, Callable[[], Case]] = {
    "tour.add_noise": add_noise,
    "tour.predict_x0": predict_x0,
    "tour.classifier_free_guidance": classifier_free_guidance,
    "sds.sample_timesteps": sample_timesteps,
    "sds.sds_grad": sds_grad,
    "sds.sds_loss": sds_loss,
}
