# The server without its embedded database: give it a PostgreSQL by DATABASE_URL or DATABASE_URL_FILE.
# `docker compose up` shows how; README.md says what to set.
ARG NODE_VERSION=24

# --- Compiled with the development dependencies ---
FROM node:${NODE_VERSION}-slim AS build
WORKDIR /app
# Install scripts are not run: Prisma's would download an engine that `generate` does not need.
COPY package.json package-lock.json ./
COPY packages/resource-server/package.json packages/resource-server/
RUN ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
COPY tsconfig.json prisma.config.ts ./
COPY scripts/build.mjs scripts/
COPY prisma/ prisma/
COPY src/ src/
RUN ["npm", "run", "build"]
RUN ["chmod", "755", "dist/main.js"]

# --- What runs, and nothing else ---
FROM node:${NODE_VERSION}-slim AS production
WORKDIR /app
COPY package.json package-lock.json ./
# `--omit=dev` alone keeps the command line of Prisma (an optional peer of its client) and the embedded PostgreSQL: 407 MB.
# Without what is optional it is 100 MB. What APIs install is no part of the server.
RUN ["npm", "ci", "--omit=dev", "--omit=optional", "--workspaces=false", "--ignore-scripts", "--no-audit", "--no-fund"]
# One optional dependency is needed: the binary of argon2 for this platform.
COPY --from=build /app/node_modules/@node-rs/ node_modules/@node-rs/
# Prisma's client brings query compilers for databases that this is not for: 60 MB.
RUN ["find", "node_modules/@prisma/client/runtime", "-name", "query_compiler_*", "!", "-name", "query_compiler_small_bg.postgresql.*", "-delete"]

FROM node:${NODE_VERSION}-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0
WORKDIR /app
COPY package.json LICENSE SECURITY.md CHANGELOG.md ./
COPY prisma/migrations/ prisma/migrations/
COPY --from=production /app/node_modules/ node_modules/
COPY --from=build /app/dist/ dist/
# `docker compose exec server ostiary user list`
RUN ["ln", "-s", "/app/dist/main.js", "/usr/local/bin/ostiary"]

# Everything here is root's, and the server writes no file: it runs with a read-only root file system.
USER 1000:1000
EXPOSE 3000
# That the process lives. Whether it can serve, /readyz says: a database that is away is no reason to kill the server.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "require(process.env.TLS_CERT_FILE ? 'node:https' : 'node:http').get({ host: '127.0.0.1', port: process.env.PORT || 3000, path: '/healthz', timeout: 4000, rejectUnauthorized: false }, (response) => process.exit(response.statusCode === 200 ? 0 : 1)).on('timeout', () => process.exit(1)).on('error', () => process.exit(1))"]
# By its own name, so that signals reach it: on SIGTERM it finishes what runs, within 10 seconds.
# With the memory for short-lived objects that `npm start` has (ARCHITECTURE.md).
ENTRYPOINT ["node", "--min-semi-space-size=16", "--max-semi-space-size=16", "/app/dist/main.js"]
CMD ["start"]
