# Two images: `train`, the default, runs every stage; `serve` verifies the model for its receiver,
# and answers requests with it. `make image` builds both.
#
# The certificates stay those of the base image, which may trust a company's own as well.
# PyTorch's wheels bring the CUDA libraries, and the host brings the driver: the smallest CUDA
# image is enough, or any Debian or Ubuntu with Python 3.11 to 3.13. Each image lists its
# Python packages in /opt/alexnet/sbom.cdx.json (CycloneDX).
ARG BASE_IMAGE=nvidia/cuda:13.0.1-base-ubuntu24.04

FROM ${BASE_IMAGE} AS python
RUN export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -qq \
    && apt-get install -qq --yes --no-install-recommends python3 tini >/dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) \
        else f"BASE_IMAGE has Python {v[0]}.{v[1]}, and 3.11 to 3.13 is needed")'
ENV PATH=/opt/alexnet/bin:$PATH
# Any user id works, also one without an entry in /etc/passwd. Only /tmp and mounts can be
# written.
ENV HOME=/tmp USER=alexnet \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ALEXNET_IN_CONTAINER=1 ORT_DISABLE_TELEMETRY=1
# -g: signals go to the whole group, so that a stop reaches a training below a shell.
ENTRYPOINT ["tini", "-g", "--"]

FROM python AS installer
RUN export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -qq \
    && apt-get install -qq --yes --no-install-recommends python3-venv >/dev/null \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The project as a wheel, built by the setuptools of the lock.
FROM installer AS wheel
COPY requirements.lock .
RUN awk '/^[^ ]/ { wanted = /^setuptools==/ } wanted' requirements.lock >setuptools.lock \
    && python3 -m venv venv \
    && venv/bin/pip install --quiet --no-deps --require-hashes -r setuptools.lock
COPY pyproject.toml README.md LICENSE ./
COPY alexnet alexnet
RUN venv/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels .

# The packages in layers of their own: they are rebuilt only when a lock changes.
FROM installer AS train-packages
COPY requirements.lock .
RUN python3 -m venv /opt/alexnet \
    && /opt/alexnet/bin/pip install --quiet --no-deps --require-hashes -r requirements.lock

FROM installer AS serve-packages
COPY serve.lock .
RUN python3 -m venv /opt/alexnet \
    && /opt/alexnet/bin/pip install --quiet --no-deps --require-hashes -r serve.lock

FROM serve-packages AS serve-installed
COPY --from=wheel /build/wheels /wheels
RUN /opt/alexnet/bin/pip install --quiet --no-deps /wheels/*.whl \
    && /opt/alexnet/bin/pip uninstall --quiet --yes pip

# The receiver's packages, listed by the tool that lists the other image's.
FROM train-packages AS serve-sbom
COPY --from=serve-installed /opt/alexnet /serve
RUN cyclonedx-py environment --output-reproducible --output-file /serve/sbom.cdx.json \
    /serve/bin/python

FROM python AS serve
COPY --from=serve-installed /opt/alexnet /opt/alexnet
COPY --from=serve-sbom /serve/sbom.cdx.json /opt/alexnet/
ARG REVISION=
ENV ALEXNET_REVISION=${REVISION}
LABEL org.opencontainers.image.title="alexnet-serve" \
      org.opencontainers.image.description="Verifies an exported AlexNet, and classifies images with it over HTTP" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"
USER 1000:1000
WORKDIR /project
# The artifact is mounted at /project. Nothing is written.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=2)"]
CMD ["alexnet", "serve", "/project", "--host", "0.0.0.0"]

# On top of the installed packages: copying their gigabytes to a clean image would double the
# time and the space.
FROM train-packages AS train
# A C compiler and Python's header: Triton builds its launchers with them, where training on a GPU
# is compiled. git: DVC asks it for the revision. The project that is mounted belongs to its user,
# who is not always the one in the container.
RUN export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -qq \
    && apt-get install -qq --yes --no-install-recommends git gcc libc6-dev python3-dev >/dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*'
COPY --from=wheel /build/wheels /wheels
RUN /opt/alexnet/bin/pip install --quiet --no-deps /wheels/*.whl \
    && cyclonedx-py environment --output-reproducible --output-file /opt/alexnet/sbom.cdx.json
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ARG REVISION=
ARG LOCK_DIGEST=
ENV ALEXNET_REVISION=${REVISION} ALEXNET_LOCK_DIGEST=${LOCK_DIGEST}
LABEL org.opencontainers.image.title="alexnet" \
      org.opencontainers.image.description="Every stage of the pipeline, from images to ONNX" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"
# The stages are no part of the wheel. `python -m` looks in the working directory first: those of
# a mounted project come before these.
COPY stages /opt/alexnet/pipeline/stages
ENV PYTHONPATH=/opt/alexnet/pipeline
# DVC's notes on files are useless after the container.
ENV DVC_SITE_CACHE_DIR=/tmp/dvc
USER 1000:1000
WORKDIR /project
# -s: the container may share the machine's process ids.
ENTRYPOINT ["tini", "-s", "-g", "--", "python", "-m", "stages.runtime.reaper"]
CMD ["dvc", "repro"]
