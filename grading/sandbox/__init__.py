"""Where code that nobody trusts is run.

    with open_sandbox() as sandbox:
        reply = sandbox.run(Job("task", "sds", source, {"function": ..., "case": ...}, tensors))

How it is built, from the outside in:

    opening.py      chooses the strongest sandbox that works here
    bubblewrap.py   around the fork server: nothing of this machine but what a job needs
    containers.py   the same by docker or podman, and weaker.py where neither may be used
    runtime.py      what a job needs: Python, its libraries, `distillery`, the models
    warm.py         hands jobs to the fork server, and gives up on one that does not answer
    inside/         what runs in there: the fork server, and the cell of each job
    replies.py      reads what came out, as bytes that a student may have written
    program.py      one whole program, such as a notebook, in a sandbox of its own
    escapes.py      the ways out that are tried, by the tests and by `python -m grading doctor`
    remedies.py     why a sandbox does not work on a machine, and what to do about it
"""

from grading.sandbox.select_backend import open_sandbox

__all__ = ["open_sandbox"]
