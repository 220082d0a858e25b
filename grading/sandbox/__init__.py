"""Runs code that must not be trusted.

    from grading.sandbox.select_backend import open_sandbox

    with open_sandbox() as sandbox:
        reply = sandbox.run(Job("task", "sds", source, {"function": ..., "cases": ...}, tensors))

Its parts, from the outside in:

    select_backend.py         chooses the strongest sandbox that works here
    backend.py                what every backend says: how to start the fork server
    bubblewrap_backend.py     bubblewrap: nothing of this machine but what a job needs
    container_backend.py      the same with docker or podman
    landlock_backend.py       Landlock, or only limits, where neither can be used
    mounts.py                 what a job needs: Python, its libraries, `distillery`, the models
    fork_server_client.py     sends jobs to the fork server, and stops one that does not answer
    inside/                   what runs in the sandbox: the fork server, and one process per job
    parse_reply.py            reads the reply: bytes that a student may have written
    program.py                runs a whole program, such as a notebook, in its own sandbox
    escape_cases.py           the attacks
    escapes.py                tries them, for the tests and for `python -m grading doctor`
    fixes.py                  why a sandbox does not work on a machine, and what to do
    decode_png.py             decodes a student's pictures in a process with limits
    decode_gif.py             the same for animations
"""
