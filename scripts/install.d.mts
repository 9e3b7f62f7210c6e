interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
}
export function scriptedPackages(lock: Lockfile): string[];
export function allowedPackages(
  scripted: readonly string[],
  allowScripts: Readonly<Record<string, boolean>>,
): string[];
export function install(): Promise<void>;
