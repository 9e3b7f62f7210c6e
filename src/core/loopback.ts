/**
 * Which addresses only this machine can reach: the one place that decides where authentication may be left out.
 * @module
 */

const IPV4_LOOPBACK = /^127(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** True for localhost, ::1 and 127.0.0.0/8, also when mapped into IPv6; any other name may be anywhere. */
export function isLoopback(host: string): boolean {
  const plain = host.toLowerCase().replace(/^::ffff:/, "");
  return plain === "localhost" || plain === "::1" || IPV4_LOOPBACK.test(plain);
}
