# syntax=docker/dockerfile:1
# The service as an image, built for CPU (the default target) or GPU: see docs/image.md.

# A Debian image with Python 3.11 or newer and pip, named with its digest.
ARG BASE
# A hub model and its commit; without a commit, the directory `model` under this name.
ARG MODEL_ID=embedded
ARG MODEL_REVISION

# `--build-context model=DIRECTORY` puts another model in the place of this one.
FROM scratch AS model
COPY models/embedded/config.json models/embedded/model.safetensors models/embedded/tokenizer.json models/embedded/tokenizer_config.json /


# KubeRay starts its containers by bash and probes them by wget; ca-certificates verify a Redis.
FROM ${BASE} AS base
# The digest of the base fixes Debian's release, of which Debian keeps a package's newest fix only.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash ca-certificates tini wget \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    && groupadd --gid 1000 sentiment \
    && useradd --uid 1000 --gid 1000 --no-log-init --create-home --shell /bin/bash sentiment \
    && echo "PATH=/opt/venv/bin:\$PATH" > /etc/profile.d/venv.sh
ENV PATH=/opt/venv/bin:$PATH


FROM base AS requirements
COPY pyproject.toml /
# An extra may name others of this project, which is not published.
RUN python3 -c 'import tomllib; p = tomllib.load(open("/pyproject.toml", "rb"))["project"]; x = p["optional-dependencies"]; print(*p["dependencies"], *x["serve"], *(r for r in x["tracing"] if not r.startswith(p["name"])), sep="\n")' > /service.txt \
    && python3 -c 'import tomllib; p = tomllib.load(open("/pyproject.toml", "rb"))["project"]; x = p["optional-dependencies"]; print(*(r for r in x["torch"] if not r.startswith(p["name"])), sep="\n")' > /torch.txt


# The secret `pip` is a pip.conf for indexes of one's own; it leaves no trace in the image.
FROM base AS packages
WORKDIR /src
COPY constraints.txt ./
COPY --from=requirements /service.txt ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --constraint constraints.txt --requirement service.txt \
    # Ray's workers for Java, which Ray looks for only where there is a `java`.
    && rm -r /opt/venv/lib/python3.*/site-packages/ray/jars


# Torch alone, as a layer over that of the packages.
FROM packages AS torch
COPY --from=requirements /torch.txt ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --root /torch --constraint constraints.txt --requirement torch.txt


# The application alone, which changes most often.
FROM packages AS application
COPY pyproject.toml README.md LICENSE ./
COPY serve_app serve_app
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --no-deps --root /application .


# Exports the model to ONNX, quantizes it and verifies both against torch.
FROM packages AS prepared
COPY --from=torch /torch /
COPY --from=application /application /
ARG MODEL_ID
ARG MODEL_REVISION
# The address of a mirror of the hub, where there is one.
ARG HF_ENDPOINT
ENV HF_HUB_CACHE=/models
# The secret `hub` is a token for models that are not public. Weights may have been saved for their
# owner's eyes only, while the service is another user.
RUN --mount=type=secret,id=hub --mount=type=bind,from=model,target=/model \
    if [ -n "$MODEL_REVISION" ]; then source="$MODEL_ID@$MODEL_REVISION"; \
    else source="/models/$MODEL_ID" && mkdir -p "$source" && cp -r /model/. "$source"; fi \
    && HF_TOKEN_PATH=/run/secrets/hub sentiment model prepare --beside "$source" \
    && chmod -R a+rX,go-w /models


FROM base AS service
WORKDIR /opt/sentiment
COPY --from=packages /opt/venv /opt/venv
COPY --from=prepared /models /models
COPY --from=application /application /
COPY configs configs
ARG BASE
ARG REVISION
LABEL org.opencontainers.image.title="sentiment-serve" \
      org.opencontainers.image.description="Sentiment API on Ray Serve, with its model" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
ARG MODEL_ID
ARG MODEL_REVISION
# After the model's files: Buildah 1.28 takes these lines for unchanged when an argument changes.
ENV SENTIMENT_MODEL=${MODEL_REVISION:+${MODEL_ID}@${MODEL_REVISION}}
ENV SENTIMENT_MODEL=${SENTIMENT_MODEL:-/models/${MODEL_ID}} \
    HF_HUB_CACHE=/models \
    HF_HUB_OFFLINE=1 \
    # What Ray starts as its HAProxy: ours, which becomes Ray's.
    RAY_SERVE_HAPROXY_BINARY_PATH=/opt/venv/bin/sentiment-haproxy
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
    CMD ["wget", "--quiet", "--output-document=/dev/null", "http://127.0.0.1:8000/project/ready"]
# Ray leaves processes behind that a first process has to reap.
ENTRYPOINT ["tini", "--"]
CMD ["sentiment", "serve", "configs/container.yaml"]
USER 1000:1000


FROM service AS gpu
# What NVIDIA's container runtime gives the container; torch's wheels hold the rest of CUDA.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=torch /torch /


FROM service AS cpu
