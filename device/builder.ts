/**
 * The same options, one call each, for those who like to read them as a sentence.
 * @module
 */

import type { TlsOptions } from "./link.ts";
import type { Credentials, SyncClientOptions } from "./options.ts";
import type { CodecChoice } from "./session-events.ts";

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** Options not listed by name are set with {@link with}. Nothing is checked before {@link build}. */
export class SyncClientBuilder<Client> {
  readonly #make: (options: SyncClientOptions) => Client;
  readonly #options: Partial<Mutable<SyncClientOptions>> = {};
  readonly #endpoints: { url: string; priority: number }[] = [];

  constructor(make: (options: SyncClientOptions) => Client) {
    this.#make = make;
  }

  deviceId(deviceId: string): this {
    return this.with({ deviceId });
  }

  tenant(tenant: string): this {
    return this.with({ tenant });
  }

  /** Adds an endpoint; lower `priority` is preferred. */
  endpoint(url: string, priority = 0): this {
    this.#endpoints.push({ url, priority });
    return this;
  }

  credentials(credentials: Credentials): this {
    return this.with({ credentials });
  }

  tls(tls: TlsOptions): this {
    return this.with({ tls });
  }

  dim(dim: number): this {
    return this.with({ dim });
  }

  dataDir(dataDir: string): this {
    return this.with({ dataDir });
  }

  /** Seconds, 300–900. */
  syncInterval(syncInterval: number): this {
    return this.with({ syncInterval });
  }

  /** 3–5. */
  retryAttempts(retryAttempts: number): this {
    return this.with({ retryAttempts });
  }

  /** Seconds. */
  timeout(timeout: number): this {
    return this.with({ timeout });
  }

  /** 1 (default) or 0, int8 for any server. */
  codec(codec: CodecChoice): this {
    return this.with({ codec });
  }

  with(options: Partial<SyncClientOptions>): this {
    Object.assign(this.#options, options);
    return this;
  }

  /** Throws `InvalidConfigError` with every fault. */
  build(): Client {
    const { endpoints = this.#endpoints, ...rest } = this.#options;
    return this.#make({ ...rest, endpoints } as SyncClientOptions);
  }
}
