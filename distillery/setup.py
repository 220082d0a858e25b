"""Make the course's environment: `python -m distillery.setup`, with any Python from 3.10 on.

It needs no other package, and no make. What `make` does first is this.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
READY = ENVIRONMENT / ".ready"
OLDEST = (3, 10)
EXTRAS = "instructor,cluster,postgres,demo,site"


def main() -> int:
    """Make or complete the environment; 2 where that is not possible."""
    if sys.version_info < OLDEST:
        print("the course needs Python 3.10 or newer; run this with another one.", file=sys.stderr)
        return 2
    if not (ROOT / "constraints.txt").is_file():
        print(f"{ROOT} is no clone of the course; run this in one.", file=sys.stderr)
        return 2
    python = programs() / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    course = ["--constraint", "constraints.txt", "--editable", f".[{EXTRAS}]", "--group", "dev"]
    try:
        venv.create(ENVIRONMENT, with_pip=True)
        for words in (["--upgrade", "pip>=25.1"], course):
            subprocess.run([*pip, *words], cwd=ROOT, check=True)
        READY.touch()
    except (OSError, subprocess.CalledProcessError) as error:
        print(
            f"the environment is not complete ({error}); see above what pip says, and run the same "
            "command again.",
            file=sys.stderr,
        )
        return 2
    return 0


def programs() -> Path:
    """The folder of the environment's programs."""
    return ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")


def what_next() -> str:
    """The commands that stand for make's."""
    folder = programs().relative_to(ROOT)
    tools = [
        (folder / "python", "demo.py --out outputs", "make run"),
        (folder / "python", "-m pytest", "make test, without the style checks"),
        (folder / "jupyter", "lab notebooks", "make lab"),
    ]
    return "\n".join(f"  {program} {words}  # {stands}" for program, words, stands in tools)


if __name__ == "__main__":
    status = main()
    if status == 0 and "--quiet" not in sys.argv[1:]:
        print(f"The environment is ready. In {ROOT}:\n{what_next()}")
    raise SystemExit(status)
