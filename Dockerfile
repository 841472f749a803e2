# Postmeter as one static file: no libc, no shell, nothing else in the image. docker build -t postmeter .
FROM rust:1.95-alpine AS build
RUN apk add --no-cache ca-certificates gcc make musl-dev
WORKDIR /postmeter
COPY . .
# Alpine's target is musl, and static of itself.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/postmeter/target \
    cargo build --locked --release && cp target/release/postmeter /usr/local/bin/
RUN mkdir -p /empty

FROM scratch
# Who signed the certificates of mail servers and collectors.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/bin/postmeter /postmeter
# A volume that is mounted here begins with this owner.
COPY --from=build --chown=65532:65532 /empty /var/lib/postmeter
USER 65532:65532
EXPOSE 9464
# With TLS or on another port: --health-cmd "/postmeter healthcheck --url ..."; without a pull endpoint: --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/postmeter", "healthcheck"]
ENTRYPOINT ["/postmeter"]
CMD ["run", "--config", "/etc/postmeter/postmeter.yaml"]
