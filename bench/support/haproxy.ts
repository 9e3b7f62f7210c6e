/**
 * deploy/haproxy.cfg for local processes: the file the product ships, with only its marked blocks replaced. Pure.
 * @module
 */

export interface HaproxyTarget {
  /** MQTT port of a gateway on 127.0.0.1. */
  readonly port: number;
  /** Port of its /readyz. */
  readonly httpPort: number;
}

/** The configuration's text: `shipped` that listens on 127.0.0.1:`mqttPort` and knows exactly `servers`. */
export function haproxyConfig(options: {
  readonly shipped: string;
  readonly mqttPort: number;
  readonly servers: readonly HaproxyTarget[];
}): string {
  const servers = options.servers.map(
    ({ port, httpPort }, index) =>
      `  server gateway-${index + 1} 127.0.0.1:${port} port ${httpPort}`,
  );
  const blocks: readonly (readonly [string, readonly string[]])[] = [
    ["resolvers", []],
    ["bind", [`  bind 127.0.0.1:${options.mqttPort}`]],
    ["servers", servers],
    ["servers alive", servers],
  ];
  return blocks.reduce((text, [name, lines]) => replaceBlock(text, name, lines), options.shipped);
}

/** Replaces what stands between `# begin NAME` and `# end NAME`; throws when the marks are gone. */
function replaceBlock(text: string, name: string, lines: readonly string[]): string {
  const block = new RegExp(`^# begin ${name}\\n[^]*?^# end ${name}$`, "m");
  if (!block.test(text)) throw new Error(`deploy/haproxy.cfg has lost its block "${name}"`);
  return text.replace(block, lines.join("\n"));
}
