"""What the page "Distil in your browser" draws in Chromium here, and how fast.

    python tests/browser/measure_distil_page.py [--seeds N] [--isolated]

builds the page in build/page, lets its worker draw "a red boat on a frozen river" by its three
methods at the page's own settings, decodes the latents in Python, and asks the judge.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from distil_in_python import PROMPT, asked, prior_of_page
from distil_page import ISOLATED, worker_says
from driven import chromium
from static_pages import file_server

from distillery.core.files import REPOSITORY
from distillery.core.measured import Figure, add_record_option, record
from distillery.metrics.judge import Judge
from website.page import build_page

STEPS = {"sds": 100, "ddim": 30, "sdedit": 30}
OF_PAGE = {"steps": STEPS, "learningRate": 0.05}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--isolated", action="store_true", help="with the headers for threads")
    add_record_option(parser)
    return parser


def main() -> None:
    given = parser().parse_args()
    folder = REPOSITORY / "build" / "page"
    build_page(folder)
    size = sum(path.stat().st_size for path in (folder / "model").iterdir())
    print(f"model: {size / 1e6:.1f} MB")
    prior, judge = prior_of_page(), Judge.load()
    right, paces, wholes = 0, [], []
    with file_server(folder, ISOLATED if given.isolated else {}) as address, chromium() as browser:
        browser.get(address)
        for seed in range(given.seeds):
            answer = worker_says(browser, {**asked(painted=False), **OF_PAGE, "seed": seed}, None)
            verdicts: list[str] = []
            for method, latents in answer["latents"].items():
                shape = (1, prior.latent_channels, *prior.latent_size)
                (found,) = judge.factors(prior.decode(torch.tensor(latents).view(shape)))
                right += str(found) == PROMPT
                verdicts.append(f"{method} {'right' if str(found) == PROMPT else found}")
            seconds = answer["seconds"]
            paces.append(statistics.median(seconds))
            wholes.append(answer["whole"])
            pace = f"{statistics.median(seconds):.3f} s a step, {len(seconds)} steps"
            where = f"{answer['device']}, {answer['threads']} threads"
            print(f"seed {seed}: {', '.join(verdicts)}; {pace} in {answer['whole']:.0f} s; {where}")
    if given.record:
        record(
            "distil_page_isolated" if given.isolated else "distil_page",
            {
                "right": Figure(right),
                "pictures": Figure(len(STEPS) * given.seeds),
                "step_least": Figure(min(paces)),
                "step_most": Figure(max(paces)),
                "whole_least": Figure(min(wholes)),
                "whole_most": Figure(max(wholes)),
            },
            n=len(STEPS) * given.seeds,
            of=f"pictures; all of {where}",
            seeds=list(range(given.seeds)),
            models=("tiny-sd", "judge"),
        )


if __name__ == "__main__":
    main()
