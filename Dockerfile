# Build: docker build -t postmeter .
# The image contains a static binary and CA certificates; no libc, no shell.
FROM rust:1.95.0-alpine AS build
RUN apk add --no-cache ca-certificates gcc make musl-dev
WORKDIR /postmeter
COPY . .
# Alpine's default target is musl, which links statically.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/postmeter/target \
    cargo build --locked --release && cp target/release/postmeter /usr/local/bin/
RUN mkdir -p /empty

FROM scratch
# CA certificates, to verify mail servers and collectors.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/bin/postmeter /postmeter
# A new volume mounted here gets this owner.
COPY --from=build --chown=65532:65532 /empty /var/lib/postmeter
USER 65532:65532
# The pull endpoint listens on every address of the container, unless the configuration file sets export.prometheus.listen.
ENV OTEL_EXPORTER_PROMETHEUS_HOST=0.0.0.0 POSTMETER_CONFIG=/etc/postmeter/postmeter.yaml
EXPOSE 9464
# It requests the endpoint of the configuration file: health.listen, or else the pull endpoint.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/postmeter", "healthcheck"]
ENTRYPOINT ["/postmeter"]
CMD ["run"]
