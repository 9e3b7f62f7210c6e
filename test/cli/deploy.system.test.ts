/**
 * What is shipped for deployment, read by the programs that will read it: HAProxy, Redis and a compose parser.
 */
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { haproxyConfig } from "../../bench/support/haproxy.ts";
import { readConfig } from "../../src/cli/config.ts";
import { freePort, type TempDir, tempDir } from "../support/disk.ts";
import { type Running, run, runToEnd } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };

let dir: TempDir;
let running: Running[];
let servers: Server[];
beforeEach(() => {
  dir = tempDir("omega-deploy-");
  running = [];
  servers = [];
});
afterEach(async () => {
  for (const process of running) await process.kill();
  for (const server of servers) server.close();
  await dir.remove();
});

describe("deploy: HAProxy", () => {
  it("deploy: haproxy accepts the shipped configuration", async () => {
    const { code, stderr, stdout } = await runToEnd(
      "haproxy",
      ["-c", "-f", join(ROOT, "deploy/haproxy.cfg")],
      { env },
    );
    expect(stdout + stderr).not.toMatch(/WARNING|ALERT/);
    expect(code).toBe(0);
  });

  it("deploy: it outlasts a keepalive of 300 s and never cuts a drained gateway's devices", () => {
    const text = readFileSync(join(ROOT, "deploy/haproxy.cfg"), "utf8");
    for (const side of ["client", "server"]) {
      const seconds = Number(new RegExp(`timeout ${side} (\\d+)s`).exec(text)?.[1]);
      expect(seconds).toBeGreaterThan(1.5 * 300);
    }
    for (const line of [
      "mode tcp",
      "balance leastconn",
      "option redispatch",
      "httpchk GET /readyz",
    ]) {
      expect(text).toContain(line);
    }
    expect(text).not.toContain("on-marked-down");
  });

  it("deploy: the same file with local servers sends devices only to those that are ready", async () => {
    const ready = [true, true];
    const targets = [];
    for (const index of [0, 1]) {
      const mqtt = createServer((socket) => {
        socket.on("error", () => {});
        socket.end(`gateway ${index}`);
      });
      const http = createHttpServer((request, response) => {
        response.writeHead(request.url === "/readyz" && ready[index] ? 200 : 503).end();
      });
      servers.push(mqtt, http);
      targets.push({ port: await listen(mqtt), httpPort: await listen(http) });
    }
    const mqttPort = await freePort();
    const shipped = readFileSync(join(ROOT, "deploy/haproxy.cfg"), "utf8");
    const text = haproxyConfig({ shipped, mqttPort, servers: targets });
    writeFileSync(join(dir.path, "haproxy.cfg"), text);
    running.push(run("haproxy", ["-db", "-f", join(dir.path, "haproxy.cfg")], { env }));
    const seen = new Set<string>();
    await waitFor(async () => seen.add(await textFrom(mqttPort)).size === 2, {
      what: "both gateways to be used",
    });
    ready[0] = false;
    let inARow = 0;
    await waitFor(
      async () => {
        inARow = (await textFrom(mqttPort)) === "gateway 1" ? inARow + 1 : 0;
        return inARow === 10;
      },
      { what: "the gateway that is not ready to be left alone" },
    );
  });
});

describe("deploy: compose", () => {
  it("deploy: a compose parser accepts the file, and only HAProxy's port is published", async () => {
    const config = parse(await composeConfig());
    const names = Object.keys(config.services).sort();
    expect(names).toEqual(["aggregator", "balancer", "gateway", "redis"]);
    const published = names.filter((name) => config.services[name].ports?.length > 0);
    expect(published).toEqual(["balancer"]);
    for (const name of names) {
      const service = config.services[name];
      expect(service, name).toMatchObject({ read_only: true, cap_drop: ["ALL"] });
      expect(service.restart, name).toBe("unless-stopped");
      expect(service.security_opt, name).toContain("no-new-privileges:true");
      expect(service.container_name, "a name would forbid --scale").toBeUndefined();
    }
    expect(config.networks.inside.internal).toBe(true);
  });

  it("deploy: each server is judged by its own /healthz, at the port it is told to serve it on", async () => {
    const { gateway, aggregator } = parse(await composeConfig()).services;
    const settings = parse(readFileSync(join(ROOT, "deploy/omega.yaml"), "utf8"));
    expect(gateway.healthcheck, "the image's own").toBeUndefined();
    const image = readFileSync(join(ROOT, "Dockerfile"), "utf8");
    expect(image).toContain(`127.0.0.1:${settings.gateway.http.port}/healthz`);
    const check = aggregator.healthcheck.test.join(" ");
    expect(check).toContain(`127.0.0.1:${settings.aggregator.http.port}/healthz`);
  });

  it("deploy: no secret is in the file or in a container's environment", async () => {
    const config = parse(await composeConfig());
    for (const name of ["gateway", "aggregator"]) {
      const variables = config.services[name].environment;
      expect(Object.keys(variables).sort()).toEqual(["OMEGA_BACKEND_FILE", "OMEGA_CONFIG"]);
    }
    for (const secret of Object.values<{ file: string }>(config.secrets)) {
      expect(secret.file).toContain("deploy/secrets/");
    }
  });

  it("deploy: a gateway has longer to stop than its drain takes", async () => {
    const { gateway } = parse(await composeConfig()).services;
    const text = readFileSync(join(ROOT, "deploy/omega.yaml"), "utf8");
    const { readyGraceMs, closeMs, flushMs } = parse(text).gateway.drain;
    const graceS = Number(/^(\d+)s$/.exec(gateway.stop_grace_period)?.[1]);
    expect(graceS * 1_000).toBeGreaterThan(readyGraceMs + closeMs + flushMs);
  });

  it("deploy: the containers' configuration is valid with the secrets that secrets.mjs makes", async () => {
    await makeSecrets();
    const text = readFileSync(join(ROOT, "deploy/omega.yaml"), "utf8");
    const file = join(dir.path, "omega.yaml");
    writeFileSync(file, text.replace("/run/secrets/device_secret", "secrets/device-secret"));
    const variables = { OMEGA_CONFIG: file, OMEGA_BACKEND_FILE: "secrets/redis-url" };
    const { config } = readConfig({ env: variables, cwd: dir.path });
    expect(config.backend.kind).toBe("redis");
  });

  it("deploy: secrets.mjs keeps what is there and closes the directory to others", async () => {
    await makeSecrets();
    const file = join(dir.path, "secrets/device-secret");
    const before = readFileSync(file, "utf8");
    await makeSecrets();
    expect(readFileSync(file, "utf8")).toBe(before);
    expect(statSync(join(dir.path, "secrets")).mode & 0o777).toBe(0o700);
  });
});

describe("deploy: Redis", () => {
  it("deploy: redis-server takes the shipped configuration and asks for the password", async () => {
    await makeSecrets();
    const text = readFileSync(join(ROOT, "deploy/redis.conf"), "utf8");
    const auth = join(dir.path, "secrets/redis-auth");
    const local = text.replace("/run/secrets/redis_auth", auth).replace("/data", dir.path);
    writeFileSync(join(dir.path, "redis.conf"), local);
    const port = await freePort();
    const args = ["redis.conf", "--port", `${port}`, "--bind", "127.0.0.1"];
    running.push(run("redis-server", args, { cwd: dir.path }));
    const password = readFileSync(auth, "utf8").trim().replace("requirepass ", "");
    const options = { host: "127.0.0.1", port, retryStrategy: () => 50 };
    const stranger = new Redis({ ...options, maxRetriesPerRequest: null });
    const redis = new Redis({ ...options, password, maxRetriesPerRequest: null });
    stranger.on("error", () => {});
    redis.on("error", () => {});
    try {
      const setting = async (name: string) => ((await redis.config("GET", name)) as string[])[1];
      expect(await setting("appendonly")).toBe("yes");
      expect(await setting("appendfsync")).toBe("always");
      expect(await setting("maxmemory-policy")).toBe("noeviction");
      expect(await setting("auto-aof-rewrite-min-size")).toBe(`${2 * 1024 ** 3}`);
      expect(await setting("rdbcompression")).toBe("no");
      await expect(stranger.get("x")).rejects.toThrow("NOAUTH");
    } finally {
      stranger.disconnect();
      redis.disconnect();
    }
  });
});

describe("deploy: image", () => {
  it("deploy: the image runs as nobody special, checks its health, and copies only what it needs", () => {
    const text = readFileSync(join(ROOT, "Dockerfile"), "utf8");
    const last = text.slice(text.lastIndexOf("\nFROM "));
    expect(last).toMatch(/^USER node$/m);
    expect(last).toMatch(/^HEALTHCHECK .*\\\n.*\/healthz/m);
    expect(last).not.toMatch(/^(ADD|COPY (?!--from=build))/m);
    for (const [, image] of text.matchAll(/^FROM (\S+)/gm)) {
      expect(image).toMatch(/:\$\{NODE_VERSION\}-/);
    }
    expect(readFileSync(join(ROOT, ".dockerignore"), "utf8")).toMatch(/^\*$/m);
  });
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

/** Everything the server says until it closes; empty when nobody is there. */
function textFrom(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}

async function makeSecrets(): Promise<void> {
  const script = join(ROOT, "scripts/secrets.mjs");
  const { code, stderr } = await runToEnd(process.execPath, [script, join(dir.path, "secrets")]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
}

/** The file as a real parser understands it: the compose plugin, or the older docker-compose. */
async function composeConfig(): Promise<string> {
  mkdirSync(join(dir.path, "deploy"), { recursive: true });
  copyFileSync(join(ROOT, "docker-compose.yml"), join(dir.path, "docker-compose.yml"));
  for (const command of [
    ["docker", "compose", "config"],
    ["docker-compose", "config"],
  ]) {
    const [program = "", ...args] = command;
    const result = await runToEnd(program, args, { cwd: dir.path }).catch(() => null);
    if (result?.code === 0) return result.stdout;
    if (result !== null && program === "docker-compose") throw new Error(result.stderr);
  }
  throw new Error("no compose parser: apt-get install docker-compose");
}
