# syntax=docker/dockerfile:1
#
#   docker build -t tpp .
#   docker run -v ./tpp.toml:/etc/tpp/tpp.toml:ro -p 8080:8080 tpp
#
# compose.yaml shows it with accounts as secrets.

FROM rust:1.95-bookworm AS build
# zlib-ng's build asks for it. Of a fixed Debian release the newest package is the one with the security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches are not there in the next step: what is wanted is taken out in this one.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p tpp-supervisor -p tpp --bin tpp --bin tppctl \
    && install -D --strip -t /out target/release/tpp target/release/tppctl

FROM debian:bookworm-slim
# For upstream.tls; newest as above.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --user-group --uid 10800 --home-dir /nonexistent --shell /usr/sbin/nologin tpp \
    && install -d -o tpp -g tpp -m 750 /run/tpp
COPY --from=build /out/ /usr/bin/
COPY tpp.toml /usr/share/doc/tpp/examples/tpp.toml
USER 10800:10800
EXPOSE 8080 9090
# TERM drains: give it longer than workers.drain_timeout_seconds before the container is killed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/usr/bin/tppctl", "--timeout", "4", "status"]
ENTRYPOINT ["/usr/bin/tpp"]
CMD ["run", "--config", "/etc/tpp/tpp.toml"]
