"""`make run`: distil six prompts with the reference, score them, and hang them in a gallery.

python demo.py --out outputs
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING
from urllib.parse import quote

from distillery.core.cli import Arguments, exit_status, say_loading
from distillery.core.program import run_program

if TYPE_CHECKING:
    from distillery.methods.settings import Settings
    from distillery.runs.place import Place

PROMPTS = Path(__file__).parent / "data/prompts.json"
STRIP = 6  # frames under each picture


@dataclass(frozen=True)
class Work:
    """One picture of the gallery."""

    place: Place
    score: float


def arguments() -> Arguments:
    parser = Arguments(description="Distil a gallery with the embedded model.")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs"), help="folder of the gallery (default: outputs)"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write over an earlier gallery of other pictures; without it that is kept, and this "
        "one gets the next free name",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    options = arguments().parse_args(argv)
    return exit_status(
        partial(show_gallery, options.out, overwrite=options.overwrite),
        interrupted="interrupted: the pictures drawn so far are kept.",
    )


def show_gallery(out: Path, *, overwrite: bool = False) -> None:
    """Draw the gallery into the folder `out` and print the scores and the page."""
    works = distil(gallery_settings(), clip="tiny-clip", out=out / "gallery", overwrite=overwrite)
    page = hang(works, out / "gallery.html", overwrite=overwrite)
    for work in works:
        print(f"{work.score:7.4f}  {work.place.prompt}")
    print(f"{fmean(work.score for work in works):7.4f}  mean, by tiny-clip")
    print(page)


def gallery_settings() -> list[Settings]:
    """A run of the embedded model for each prompt of the gallery."""
    from distillery.methods.settings import Settings
    from distillery.models.load import pick_device

    prompts, device = json.loads(PROMPTS.read_text(encoding="utf-8"))["gallery"], pick_device()
    return [Settings(prompt, implementation="reference", device=str(device)) for prompt in prompts]


def distil(
    runs: Sequence[Settings], *, clip: str, out: Path, overwrite: bool = False
) -> list[Work]:
    """Draw pictures with one model into the folder `out`, as main.py does, and score them.

    Raises:
        CourseError: model or scorer cannot be loaded, or a file cannot be written.
    """
    say_loading(f"{runs[0].model} and {clip}")
    from distillery.core.images import load_image
    from distillery.metrics.clip_score import ClipScorer
    from distillery.runs import latents
    from distillery.runs.kind import draw
    from reference import sds

    scorer, prior = ClipScorer(clip), latents.load(runs[0])
    places = [
        draw(latents, prior, sds, settings, out=out, overwrite=overwrite) for settings in runs
    ]
    scores = scorer.score(
        [load_image(place.picture) for place in places], [settings.prompt for settings in runs]
    )
    return [Work(place, score) for place, score in zip(places, scores, strict=True)]


def hang(works: Sequence[Work], page: Path, *, overwrite: bool = False) -> Path:
    """Write the gallery's page, with links to the pictures relative to it, and return its file.

    A page that shows other pictures is kept; this one gets the next free name then.
    """
    from distillery.core.files import atomic_write
    from distillery.core.names import beside

    hung = [link(work.place.picture, page.parent) for work in works]
    overwrite = overwrite or (page.is_file() and hung == pictures_on(page))
    page, note = beside(page, overwrite=overwrite, because="it shows other pictures")
    cards = "\n".join(card(work, page.parent) for work in works)
    mean = f"{fmean(work.score for work in works):.3f}"
    atomic_write(page, PAGE.replace("{{cards}}", cards).replace("{{mean}}", mean))
    if note:
        print(note, file=sys.stderr)
    return page


def pictures_on(page: Path) -> list[str]:
    """The links of the pictures that a page of the gallery shows."""
    text = page.read_text(encoding="utf-8", errors="replace")
    return re.findall(r'<div class="picture">\s*<img src="([^"]*)"', text)


def card(work: Work, root: Path) -> str:
    place, prompt = work.place, html.escape(work.place.prompt)
    frames = sorted((place.folder / "frames").glob("*.png"))
    chosen = [frames[round(i * (len(frames) - 1) / (STRIP - 1))] for i in range(STRIP)]
    strip = "".join(f'<img src="{link(frame, root)}" alt="">' for frame in chosen)
    return f"""<figure>
  <div class="picture">
    <img src="{link(place.picture, root)}" alt="{prompt}">
    <img class="making" src="{link(place.folder / "making.gif", root)}" alt="" loading="lazy">
  </div>
  <div class="strip">{strip}</div>
  <figcaption>{prompt}<span>CLIP {work.score:.3f}</span></figcaption>
</figure>"""


def link(file: Path, root: Path) -> str:
    return quote(file.relative_to(root).as_posix())


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Score Distillery: gallery</title>
<style>
  :root { color-scheme: light dark; --paper: #f6f3ec; --card: #fffdf8; --ink: #2d2a26;
    --quiet: #857d72; --line: #e4ded2; }
  @media (prefers-color-scheme: dark) {
    :root { --paper: #1b1a1e; --card: #26242a; --ink: #ece8e1; --quiet: #a09889;
      --line: #38353d; }
  }
  body { margin: 0 auto; padding: 3rem 1.5rem 4rem; max-width: 66rem; background: var(--paper);
    color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
  h1 { margin: 0; font: 600 2.2rem/1.2 Georgia, serif; }
  header p, footer { color: var(--quiet); max-width: 44rem; }
  main { display: grid; gap: 1.75rem; margin: 2rem 0;
    grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
  figure { margin: 0; padding: .9rem; background: var(--card); border: 1px solid var(--line);
    border-radius: .9rem; }
  img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; }
  .picture { position: relative; overflow: hidden; border-radius: .5rem; }
  .making { position: absolute; inset: 0; opacity: 0; transition: opacity .2s; }
  .picture:hover .making { opacity: 1; }
  .strip { display: grid; grid-template-columns: repeat(6, 1fr); gap: 3px; margin: 3px 0 .7rem; }
  .strip img { border-radius: .25rem; }
  figcaption { display: flex; justify-content: space-between; gap: 1rem;
    font: italic 1.05rem/1.4 Georgia, serif; }
  figcaption span { flex: none; color: var(--quiet); font: .85rem/1.75 system-ui, sans-serif;
    font-variant-numeric: tabular-nums; }
  code { font-size: .9em; }
</style>
<header>
  <h1>Score Distillery</h1>
  <p>Each picture began as noise and was drawn by score distillation: a model that was only trained
  to remove noise says, step after step, what does not yet fit the prompt. The strip shows the way
  from noise to picture; point at a picture to see it move. Mean CLIP score {{mean}}.</p>
</header>
<main>
{{cards}}
</main>
<footer>
<p>Next to each picture is a folder with its frames, loss curve and <code>run.yaml</code>;
<code>python main.py --config</code> and that file draw it again.</p>
<p>What to try next, in the folder of the course:</p>
<ul>
  <li><code>make lab</code> opens the notebooks. Begin with <code>00_tour</code>.</li>
  <li><code>.venv/bin/python main.py --prompt "a pink castle in the desert"</code> draws a prompt of
  your own.</li>
  <li><code>.venv/bin/python main.py pixelart --prompt "a red boat on a frozen river"
  --size 32,32</code> draws pixel art.</li>
</ul>
</footer>
</html>
"""


if __name__ == "__main__":
    run_program(main)
