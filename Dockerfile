# The daemon with its tools, the loader and the producer, in an image with nothing else: three static programs and the CA bundle.
#
#   docker build --build-arg VERSION=1.2.3 -t streaming-pipeline .
#   docker build --target sbom --output dist .       # contents of the programs, as CycloneDX
#
# GO_IMAGE is the only base image, and only its CA bundle is in the result. A tag can be moved to another image. To build from
# an image that cannot change, add its digest:
#
#   docker buildx imagetools inspect golang:1.26-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg GO_IMAGE=golang:1.26-bookworm@sha256:... .
#
# The workflow does that for releases and writes the digest into the image's labels.
ARG GO_IMAGE=golang:1.26-bookworm

# The programs are cross-compiled on the machine's own architecture.
FROM --platform=$BUILDPLATFORM $GO_IMAGE AS build
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X aws-streaming-pipeline/internal/version.release=$VERSION" \
      -o /out/usr/local/bin/ ./cmd/consumer ./cmd/loader ./cmd/producer
# Fargate gives its volume the owner of /spool; /tmp is for the tools that read files.
RUN mkdir -p /out/etc/ssl/certs /out/spool /out/tmp \
    && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
    && echo 'nonroot:x:65532:65532::/:/sbin/nologin' >/out/etc/passwd \
    && echo 'nonroot:x:65532:' >/out/etc/group \
    && chown 65532:65532 /out/spool && chmod 700 /out/spool && chmod 1777 /out/tmp

FROM build AS bom
ARG CYCLONEDX=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
RUN mkdir -p /bom && for program in consumer loader producer; do \
      go run $CYCLONEDX bin -json -noserial -output /bom/$program.cdx.json /out/usr/local/bin/$program || exit 1; done

FROM scratch AS sbom
COPY --from=bom /bom/ /

# Kinesis and S3 for the demo on a cluster.
FROM build AS build-standin
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -ldflags "-s -w" -o /standin ./helm/demo/standin

FROM scratch AS standin
COPY --from=build-standin /standin /standin
USER 65532:65532
ENTRYPOINT ["/standin"]

FROM scratch AS consumer
ARG VERSION=
ARG REVISION=
ARG SOURCE=
ARG GO_IMAGE=golang:1.26-bookworm
LABEL org.opencontainers.image.title="aws-streaming-pipeline" \
      org.opencontainers.image.description="Delivers a Kinesis stream to S3 exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.base.name="$GO_IMAGE"
COPY --from=build /out/ /
COPY --from=build --chown=65532:65532 /out/spool/ /spool/
ENV PATH=/usr/local/bin
USER 65532:65532
VOLUME /spool
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/consumer"]
