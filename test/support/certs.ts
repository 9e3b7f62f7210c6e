/**
 * A throw-away certificate authority and a server certificate for 127.0.0.1 and localhost.
 * @module
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certs {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export function makeCerts(dir: string): Certs {
  const file = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "ignore" });
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    ...["req", "-x509", ...ec, "-keyout", file("ca.key"), "-out", file("ca.pem")],
    ...["-days", "2", "-subj", "/CN=omega test CA"],
  );
  openssl(
    ...["req", ...ec, "-keyout", file("server.key"), "-out", file("server.csr")],
    ...["-subj", "/CN=localhost"],
  );
  writeFileSync(file("server.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  openssl(
    ...["x509", "-req", "-in", file("server.csr"), "-CA", file("ca.pem"), "-CAkey", file("ca.key")],
    ...[
      "-CAcreateserial",
      "-days",
      "2",
      "-extfile",
      file("server.ext"),
      "-out",
      file("server.pem"),
    ],
  );
  return { caFile: file("ca.pem"), certFile: file("server.pem"), keyFile: file("server.key") };
}
