/**
 * The keepalive of packets that aedes does not see.
 * @module
 */
import type { Client } from "aedes";

/** What aedes keeps of it; test/gateway/uplink/aedes-contract.test.ts holds it to that. */
interface KeepaliveState {
  readonly _keepaliveInterval: number;
  readonly _keepaliveTimer: NodeJS.Timeout | null;
}

/** [MQTT-3.1.2-24] Any packet counts; aedes does the same for those that it handles itself. */
export function putOffKeepalive(client: Client): void {
  const { _keepaliveInterval, _keepaliveTimer } = client as unknown as KeepaliveState;
  if (_keepaliveInterval > 0) _keepaliveTimer?.refresh();
}
