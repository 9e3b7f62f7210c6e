/**
 * Signed tokens (RFC 7519, with the rules of RFC 8725) in the password field.
 *
 * The algorithm is pinned by the *kind of key the operator configured*, never
 * by the token: a shared secret accepts HS256 only, a key set accepts
 * asymmetric algorithms only. So `alg: none` and an RS256 public key used as
 * an HMAC secret are both refused before any key is looked up (THREATS 1).
 * The session ends with the token.
 * @module
 */
import { readFileSync } from "node:fs";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose";
import {
  assert,
  type Clock,
  type DeviceKey,
  InvalidConfigError,
  messageOf,
} from "../src/core/index.ts";
import {
  type Authenticator,
  type AuthVerdict,
  badCredentials,
  cannotTell,
  type KeepRead,
  notAuthorized,
} from "./auth-verdict.ts";
import { DEFAULT_TENANT } from "./connect.ts";
import { isTokenId } from "./revoked-list.ts";

/** Where the keys come from: one shared secret, or a JWKS file, or a JWKS at a URL. */
export type JwtKeySource =
  | { readonly secret: string | Uint8Array }
  | { readonly jwksFile: string }
  | { readonly jwksUrl: string };

export interface JwtAuthOptions {
  readonly mode: "jwt";
  readonly key: JwtKeySource;
  /** Must be among the token's `aud`. */
  readonly audience: string;
  /** Must be the token's `iss`, when set. */
  readonly issuer?: string;
}

/** RFC 7518 §3.2: an HS256 key has at least the size of the hash. */
const SECRET_BYTES_MIN = 32;
const SYMMETRIC = ["HS256"];
const ASYMMETRIC = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"];
const CLOCK_TOLERANCE_S = 5;
const JWKS_TIMEOUT_MS = 3_000;

/** Throws `InvalidConfigError` for a short secret, an unreadable key set or a URL that is not https. */
export function jwtAuthenticator(
  options: JwtAuthOptions,
  clock: Clock,
  keepRead: KeepRead,
): Authenticator {
  const verify = verifierOf(options.key, keepRead);
  const rules = {
    audience: options.audience,
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
    clockTolerance: CLOCK_TOLERANCE_S,
    requiredClaims: ["sub", "exp", "aud"],
  };

  return {
    mode: "jwt",
    async authenticate(key, password) {
      if (password === null) return badCredentials("auth.token.missing");
      const token = Buffer.from(password).toString("latin1");
      try {
        const claims = await verify(token, { ...rules, currentDate: new Date(clock.nowMs()) });
        return judgeClaims(claims, key);
      } catch (error) {
        return verdictOf(error);
      }
    },
  };
}

/** The token is genuine: is it this device's? */
function judgeClaims(claims: JWTPayload, key: DeviceKey): AuthVerdict {
  const tenant = claims.tenant ?? DEFAULT_TENANT;
  if (claims.sub !== key.device || tenant !== key.tenant)
    return notAuthorized("auth.token.subject");
  if (claims.exp === undefined) return badCredentials("auth.token.invalid");
  return {
    ok: true,
    expiresAtMs: claims.exp * 1_000,
    token: {
      id: isTokenId(claims.jti) ? claims.jti : null,
      issuedAtMs: claims.iat === undefined ? null : claims.iat * 1_000,
    },
  };
}

function verdictOf(error: unknown): AuthVerdict {
  // The world broke (no key set to be had), not the device: it should come back later.
  if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout) {
    return cannotTell("auth.keys.unavailable");
  }
  if (error instanceof errors.JWTExpired) return badCredentials("auth.token.expired");
  if (error instanceof errors.JOSEAlgNotAllowed) return badCredentials("auth.token.algorithm");
  if (error instanceof errors.JWTClaimValidationFailed) return badCredentials("auth.token.claims");
  // jose's plain JOSEError is what a key set that answers with an error status gives.
  if (error.code === "ERR_JOSE_GENERIC") return cannotTell("auth.keys.unavailable");
  return badCredentials("auth.token.invalid");
}

type VerifyRules = Parameters<typeof jwtVerify>[2];

function verifierOf(
  source: JwtKeySource,
  keepRead: KeepRead,
): (token: string, rules: VerifyRules) => Promise<JWTPayload> {
  if ("secret" in source) {
    const secret = Buffer.from(source.secret);
    if (secret.length < SECRET_BYTES_MIN) {
      throw new InvalidConfigError([
        `auth.key.secret must have at least ${SECRET_BYTES_MIN} bytes: got ${secret.length}`,
      ]);
    }
    return async (token, rules) =>
      (await jwtVerify(token, secret, { ...rules, algorithms: SYMMETRIC })).payload;
  }
  const keys = keySetOf(source, keepRead);
  return async (token, rules) =>
    (await jwtVerify(token, keys, { ...rules, algorithms: ASYMMETRIC })).payload;
}

function keySetOf(
  source: { readonly jwksFile: string } | { readonly jwksUrl: string },
  keepRead: KeepRead,
): JWTVerifyGetKey {
  if ("jwksFile" in source) {
    let keys: JWTVerifyGetKey | undefined;
    keepRead("jwks", source.jwksFile, () => {
      keys = readKeySet(source.jwksFile);
    });
    return (header, token) => {
      assert(keys !== undefined, "a key set is read before it is used");
      return keys(header, token);
    };
  }
  const url = URL.canParse(source.jwksUrl) ? new URL(source.jwksUrl) : null;
  const trusted = url?.protocol === "https:" || url?.hostname === "127.0.0.1";
  if (url === null || !trusted) {
    throw new InvalidConfigError([`auth.key.jwksUrl must be an https URL: got ${source.jwksUrl}`]);
  }
  return createRemoteJWKSet(url, { timeoutDuration: JWKS_TIMEOUT_MS });
}

function readKeySet(file: string): JWTVerifyGetKey {
  try {
    return createLocalJWKSet(JSON.parse(readFileSync(file, "utf8")) as JSONWebKeySet);
  } catch (error) {
    const fault = `auth.key.jwksFile must be a readable JWKS: ${messageOf(error)}`;
    throw new InvalidConfigError([fault], { cause: error });
  }
}
