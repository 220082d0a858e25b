# The course in a container, with JupyterLab at the address that it prints.
#
#     docker build -t score-distillery .
#     docker run --rm -p 8888:8888 -v score-distillery:/home/student/course score-distillery
#
# The volume keeps what you write. PyTorch comes from the package registry, whose build for Linux
# has CUDA, so add `--gpus all` where there is one. TORCH_INDEX names another index of PyTorch's
# wheels: that of its builds without CUDA makes a much smaller image, and that of another version of
# CUDA suits older drivers. tests/try_dockerfile.py runs these steps without Docker.
FROM debian:bookworm-slim AS system

RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        bubblewrap ca-certificates git make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --shell /bin/bash student

FROM system
ARG TORCH_INDEX=""
WORKDIR /home/student/course
COPY --chown=student:student . .
USER student
RUN PIP_EXTRA_INDEX_URL="$TORCH_INDEX" PIP_NO_CACHE_DIR=1 make .venv/.ready

ENV PATH="/home/student/course/.venv/bin:$PATH"
ENV JUPYTER_CONFIG_PATH="/home/student/course/data/configs/jupyter"
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--LabApp.default_url=/lab/tree/notebooks"]
