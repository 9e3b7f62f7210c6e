/**
 * Ids of tenants and devices as arguments of commands.
 * @module
 */
import { InvalidArgumentError } from "commander";
import { isId } from "../core/index.ts";

/** Throws commander's `InvalidArgumentError` (a usage error) on what is no id. */
export function parseIdArgument(text: string): string {
  if (isId(text)) return text;
  throw new InvalidArgumentError("Expected 1–64 characters of A–Z a–z 0–9 _ -.");
}
