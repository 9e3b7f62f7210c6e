/**
 * An option that takes some of a few names.
 * @module
 */
import { InvalidArgumentError } from "commander";

/**
 * Parses names separated by commas. Throws `InvalidArgumentError`, which lists `known`, for any
 * other.
 */
export function someOf<Name extends string>(known: readonly Name[]): (text: string) => Name[] {
  return (text) =>
    text.split(",").map((part) => {
      const found = known.find((name) => name === part.trim());
      if (found !== undefined) return found;
      throw new InvalidArgumentError(`There is ${known.join(", ")}.`);
    });
}
