// The rooms of the house and the doors between them. A room may use only what its line lists.
const HOUSE = {
  "src/core": { rooms: [], npm: [] },
  "src/wire": { rooms: ["src/core"], npm: ["cbor-x", "zstd-napi", "@noble/hashes"] },
  "src/observe": { rooms: ["src/core"], npm: ["pino", "prom-client"] },
  "src/redis": { rooms: ["src/core"], npm: ["ioredis"] },
  "src/queue": {
    rooms: ["src/core", "src/wire", "src/observe", "src/redis"],
    npm: ["bullmq", "ioredis"],
  },
  "src/store": {
    rooms: ["src/core", "src/wire", "src/observe", "src/redis"],
    npm: ["ioredis", "pg", "@types/pg", "@electric-sql/pglite"],
  },
  "src/aggregate": {
    rooms: ["src/core", "src/wire", "src/observe", "src/queue", "src/store"],
    npm: ["ml-matrix"],
  },
  gateway: {
    rooms: ["src/core", "src/wire", "src/observe", "src/queue"],
    npm: ["aedes", "mqtt-packet", "jose", "ws", "@types/ws"],
  },
  device: { rooms: ["src/core", "src/wire"], npm: ["mqtt"] },
  "src/dashboard": { rooms: ["src/core", "src/observe", "src/store"], npm: [] },
  "src/fleet": {
    rooms: [
      "src/core",
      "src/wire",
      "src/observe",
      "src/queue",
      "src/store",
      "src/aggregate",
      "gateway",
      "device",
    ],
    npm: ["fast-check", "mqtt-packet", "ws", "@types/ws"],
  },
  // src/cli is the composition root: it may open every door.
};
const PURE =
  "^src/(core|wire)/|^src/aggregate/(dedup|merge|version|fold)|^device/session|^gateway/(acl|limits)";
const any = (list) => (list.length ? `(${list.join("|")})` : "(?!)");

module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      comment: "not even for types",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphans",
      severity: "error",
      from: { orphan: true, pathNot: "^src/cli/|\\.d\\.ts$|^test/|config" },
      to: {},
    },
    {
      name: "commands-load-when-named",
      comment: "--help and --version must not load a thousand modules (src/cli/program.ts)",
      severity: "error",
      from: { path: "^src/cli/(main|program)\\.ts$" },
      to: {
        path: "^(gateway|device|src/(?!core/|cli/))|^src/cli/(.*-command|config)\\.ts$",
        dynamic: false,
      },
    },
    {
      name: "product-never-imports-test",
      severity: "error",
      from: { pathNot: "^test/" },
      to: { path: "^test/" },
    },
    {
      name: "pure-files-do-no-io",
      severity: "error",
      from: { path: PURE },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "pure-folds-stay-pure",
      severity: "error",
      from: { path: "^src/aggregate/(dedup|merge|version|fold)" },
      to: { path: "^src/(queue|store|observe)/" },
    },
    ...Object.entries(HOUSE).flatMap(([room, door]) => [
      {
        name: `${room}: rooms`,
        severity: "error",
        from: { path: `^${room}/` },
        to: { path: "^(src|gateway|device)/", pathNot: `^${any([room, ...door.rooms])}/` },
      },
      {
        name: `${room}: packages`,
        severity: "error",
        from: { path: `^${room}/` },
        to: {
          dependencyTypes: ["npm", "npm-dev", "npm-optional", "npm-peer"],
          pathNot: `node_modules/${any(door.npm)}/`,
        },
      },
    ]),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
  },
};
