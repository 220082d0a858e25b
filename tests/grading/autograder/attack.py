"""Answers to tasks of stage 0 that attack the grader."""

from __future__ import annotations

from collections.abc import Sequence

SECRET = "kept from students"  # in the environment of every grader that is mocked
NOTHING = "found: nothing."
BREAKING_OUT = '''
import os

def predict_x0(x_t, eps, alpha_bar):
    """Read what is hidden, and write what counts; each way that is open is named at the end."""
    found = []
    for path in {read}:
        try:
            found.append("READ " + path + " " + open(path).read()[:20])
        except Exception:
            pass
    for path in {write}:
        try:
            with open(path, "a") as file:
                file.write(" ")
            found.append("WROTE " + path)
        except Exception:
            pass
    for process in ("self", str(os.getppid()), "1"):
        try:
            text = open("/proc/" + process + "/environ").read()
            found += ["READ environ of " + process] * ("{secret}" in text or process != "self")
        except Exception:
            pass
    if "{secret}" in str(os.environ):
        found.append("READ environ")
    for process in (os.getppid(), 1):
        try:
            os.kill(process, 0)
            found.append("CAN KILL " + str(process))
        except Exception:
            pass
    try:
        if os.fork() == 0:
            os._exit(0)
        found.append("FORKED")
    except Exception:
        pass
    raise RuntimeError("found: " + ("; ".join(found) or "nothing") + ".")
'''
FLOODING = """
import os

def classifier_free_guidance(eps_cond, eps_uncond, scale):
    for _ in range(10**5):
        print("flood " * 1000)
    os._exit(0)
"""


def breaking_out(*, read: Sequence[str], write: Sequence[str]) -> str:
    """A `predict_x0` of an attacker who knows these paths; it says which of them are open."""
    return (
        BREAKING_OUT.replace("{read}", repr(tuple(read)))
        .replace("{write}", repr(tuple(write)))
        .replace("{secret}", SECRET)
    )
