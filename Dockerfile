# syntax=docker/dockerfile:1

# Pinned by version. For builds that must be repeatable bit for bit, pin the digest too:
#   docker buildx imagetools inspect node:24.11-bookworm-slim   ->   FROM node:24.11-bookworm-slim@sha256:…
ARG NODE_VERSION=24.11

# The full image has the compiler that optional native packages want, and Node's headers.
FROM node:${NODE_VERSION}-bookworm AS build
WORKDIR /app
ENV npm_config_nodedir=/usr/local
COPY package.json package-lock.json ./
COPY scripts/install.mjs scripts/prepare.mjs ./scripts/
# No code of a package runs but the install scripts that package.json allows.
RUN node scripts/install.mjs
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY gateway ./gateway
COPY device ./device
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:${NODE_VERSION}-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# Nothing is written outside /tmp and, with the embedded backend, OMEGA_DATA_DIR: mount a volume there.
USER node
EXPOSE 1883 9464 9465
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/src/cli/main.js"]
CMD ["--help"]
