# The image for amd64 and arm64: docker buildx bake --push, with the variables below in the environment.
# docker buildx bake local builds it for this machine alone, and loads it into Docker as mcpstead:dev.

variable "IMAGE" {
  description = "Name of the image, with its registry."
  default     = "mcpstead"
}

variable "VERSION" {
  description = "The version in package.json, such as 0.2.0; empty: the tag is dev."
  default     = ""
}

variable "GIT_SHA" {
  description = "The commit that is built: git rev-parse --short=12 HEAD."
  default     = "unknown"
}

group "default" {
  targets = ["image"]
}

target "local" {
  context    = "."
  dockerfile = "Dockerfile"
  args       = { GIT_SHA = GIT_SHA }
  # A version before its release (0.3.0-rc.1) is not the latest.
  tags = VERSION == "" ? ["${IMAGE}:dev"] : length(split("-", VERSION)) > 1 ? ["${IMAGE}:${VERSION}"] : ["${IMAGE}:${VERSION}", "${IMAGE}:latest"]
  labels = {
    "org.opencontainers.image.title"       = "mcpstead"
    "org.opencontainers.image.description" = "MCP gateway: one /mcp endpoint in front of many MCP servers"
    "org.opencontainers.image.licenses"    = "MIT"
    "org.opencontainers.image.version"     = VERSION == "" ? "dev" : VERSION
    "org.opencontainers.image.revision"    = GIT_SHA
  }
  output = ["type=docker"]
}

target "image" {
  inherits  = ["local"]
  platforms = ["linux/amd64", "linux/arm64"]
  # Where it goes is said on the command line: --push.
  output = []
  attest = ["type=provenance,mode=max", "type=sbom"]
}
