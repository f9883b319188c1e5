# docker build --build-arg GIT_SHA=$(git rev-parse --short=12 HEAD) -t mcpstead .   (docker-bake.hcl: for several platforms)
# docker run --rm -p 127.0.0.1:8766:8766 -e MCPSTEAD_HOST=0.0.0.0 \
#   -v ./config.yaml:/etc/mcpstead/config.yaml:ro -v mcpstead:/var/lib/mcpstead mcpstead
#
# Inside a container 127.0.0.1 is the container alone: MCPSTEAD_HOST=0.0.0.0 (or host: in the config) opens it,
# and mcp.auth.mode: bearer guards it.

# What it builds runs on every platform: none of the packages is native.
FROM --platform=$BUILDPLATFORM node:22-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
COPY console console
COPY docs/errors.md docs/
ARG GIT_SHA=unknown
# The image can join a fleet: ioredis, which is optional, stays in the version of the lock file.
RUN MCPSTEAD_GIT_SHA=$GIT_SHA npm run build \
  && npm pkg set "dependencies.ioredis=$(node -p "require('./package.json').peerDependencies.ioredis")" \
  && npm pkg delete devDependencies.ioredis peerDependencies.ioredis peerDependenciesMeta.ioredis \
  && npm prune --omit=dev --no-audit --no-fund

FROM node:22-bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates tini \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/mcpstead
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules node_modules
COPY --from=build /src/dist dist
COPY LICENSE ./
RUN ln -s /opt/mcpstead/dist/cli/main.js /usr/local/bin/mcpstead \
  && install -d -o node -g node /var/lib/mcpstead

# HOME is on the volume, and with it npm's cache: what npx downloads for stdio servers survives the container.
ENV NODE_ENV=production \
    HOME=/var/lib/mcpstead \
    MCPSTEAD_CONFIG=/etc/mcpstead/config.yaml
USER node
WORKDIR /var/lib/mcpstead
VOLUME /var/lib/mcpstead
EXPOSE 8766
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=1s CMD ["mcpstead", "health"]
# tini reaps what the children of stdio servers leave behind.
ENTRYPOINT ["tini", "--"]
CMD ["mcpstead"]
