# syntax=docker/dockerfile:1
#
#   docker build -t tpp .
#   docker run --stop-timeout 40 -v ./tpp.toml:/etc/tpp/tpp.toml:ro -p 8080:8080 tpp
#
# Any user id may run it (--user). compose.yaml shows it with accounts that can be edited, and with a health check, which
# podman's image format does not hold.

FROM rust:1.95-bookworm AS build
ARG PROFILE=release
# zlib-ng's build asks for the one, that of etcd's messages for the other. Of a fixed Debian release the newest package is the one with the security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake libprotobuf-dev protobuf-compiler \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches are not there in the next step: what is wanted is taken out in this one.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile "$PROFILE" --locked -p tpp-program -p tpp --bin tpp --bin tppctl \
    && cd "target/$(test "$PROFILE" = dev && echo debug || echo "$PROFILE")" \
    && install -D --strip -t /out tpp tppctl

FROM debian:bookworm-slim
# For upstream.tls; newest as above. /run/tpp and /var/lib/tpp are everybody's, as there is but one user in a container,
# of any number.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10800 tpp \
    && useradd --uid 10800 --gid tpp --no-log-init --home-dir /nonexistent --shell /usr/sbin/nologin tpp \
    && install -d -m 1777 /run/tpp /var/lib/tpp
COPY --from=build /out/ /usr/bin/
COPY tpp.toml /usr/share/doc/tpp/examples/tpp.toml
USER 10800:10800
EXPOSE 8080 9090
# TERM drains: give it longer than workers.drain_timeout_seconds before the container is killed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/usr/bin/tppctl", "--timeout", "4", "status"]
ENTRYPOINT ["/usr/bin/tpp"]
# Reads /etc/tpp/tpp.toml, or what a container of tpp 0.1.x had mounted: /app/config.yaml.
CMD ["run"]
