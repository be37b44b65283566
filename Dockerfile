# Two images: `train`, the default, runs every stage; `serve` verifies the model for its receiver,
# and answers requests with it. `make image` builds both.
#
# The certificates stay those of the base image, which may trust a company's own as well.
# PyTorch's wheels bring the CUDA libraries, and the host brings the driver: the smallest CUDA
# image is enough, or any Debian or Ubuntu with Python 3.11 to 3.13. Each image lists its
# packages, the system's too, in /opt/alexnet/sbom.cdx.json (CycloneDX).
ARG BASE_IMAGE=nvidia/cuda:13.0.1-base-ubuntu24.04
ARG SERVE_BASE_IMAGE=debian:trixie-slim

# serve: it stands first, as an older Podman builds all that stands above its target.

FROM ${SERVE_BASE_IMAGE} AS serve-system
COPY ci/image/os-packages /usr/local/bin/
RUN os-packages python3 tini
ENV PATH=/opt/alexnet/bin:$PATH
# Any user id works, also one without an entry in /etc/passwd. Only /tmp and mounts can be
# written.
ENV HOME=/tmp USER=alexnet \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ALEXNET_IN_CONTAINER=1 ORT_DISABLE_TELEMETRY=1

FROM serve-system AS serve-builder
COPY ci/image/ /usr/local/bin/
RUN os-packages python3-venv
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=1
WORKDIR /build
# The packages in layers of their own: they are rebuilt only when a lock changes.
COPY image.lock .
RUN python3 -m venv tools && tools/bin/pip install --no-compile --no-deps --require-hashes -r image.lock
COPY serve.lock .
RUN python3 -m venv /opt/alexnet && pip install --no-compile --no-deps --require-hashes -r serve.lock
COPY pyproject.toml README.md LICENSE ./
COPY alexnet alexnet
# The system's packages are those of the image, which has no python3-venv.
COPY --from=serve-system /var/lib/dpkg dpkg
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && pip install --no-compile --no-deps wheels/*.whl \
    && pip uninstall --yes setuptools pip \
    && compile-python /opt/alexnet/lib \
    && list-packages dpkg >/opt/alexnet/sbom.cdx.json

FROM serve-system AS serve
COPY --from=serve-builder /opt/alexnet /opt/alexnet
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
# -g: signals go to the whole group, so that a stop reaches a process below a shell.
ENTRYPOINT ["tini", "-g", "--"]
CMD ["alexnet", "serve", "/project", "--host", "0.0.0.0"]

# train: the finished image stands on the installed packages. Copying their gigabytes to a clean
# one would double the time and the space.

FROM ${BASE_IMAGE} AS train-packages
COPY ci/image/os-packages ci/image/compile-python /usr/local/bin/
# A C compiler and Python's header: Triton builds its launchers with them, where training on a GPU
# is compiled. git: DVC asks it for the revision. The project that is mounted belongs to its user,
# who is not always the one in the container.
RUN os-packages python3 python3-dev python3-venv tini git gcc libc6-dev \
    && git config --system --add safe.directory '*'
ENV PATH=/opt/alexnet/bin:$PATH
ENV HOME=/tmp USER=alexnet \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ALEXNET_IN_CONTAINER=1 ORT_DISABLE_TELEMETRY=1
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=1
WORKDIR /build
# train-cpu.lock (`make lock-cpu`) has PyTorch without CUDA.
ARG LOCK=train.lock
COPY ${LOCK} train.lock
RUN python3 -m venv /opt/alexnet \
    && pip install --no-compile --no-deps --require-hashes -r train.lock \
    && compile-python /opt/alexnet/lib

FROM train-packages AS train-builder
COPY ci/image/list-packages /usr/local/bin/
COPY image.lock .
RUN python3 -m venv tools && tools/bin/pip install --no-compile --no-deps --require-hashes -r image.lock
COPY pyproject.toml README.md LICENSE ./
COPY alexnet alexnet
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && pip install --no-compile --no-deps wheels/*.whl \
    && list-packages /var/lib/dpkg >sbom.cdx.json

FROM train-packages AS train
COPY --from=train-builder /build/wheels wheels
RUN pip install --no-compile --no-deps wheels/*.whl \
    && compile-python /opt/alexnet/lib/python3*/site-packages/alexnet
COPY --from=train-builder /build/sbom.cdx.json /opt/alexnet/
ARG REVISION=
ARG LOCK_DIGEST=
ENV ALEXNET_REVISION=${REVISION} ALEXNET_LOCK_DIGEST=${LOCK_DIGEST} \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
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
# A volume that is mounted here, for what outlives the container, can be written by any user.
RUN mkdir --mode=1777 /var/lib/alexnet
USER 1000:1000
WORKDIR /project
# -g: signals go to the whole group, so that a stop reaches a training below a shell.
# -s: the container may share the machine's process ids.
ENTRYPOINT ["tini", "-s", "-g", "--", "python", "-m", "stages.runtime.reaper"]
CMD ["dvc", "repro"]
