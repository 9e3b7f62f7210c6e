/**
 * The kinds of settings that the schema is made of: each with its default, its range and its description.
 * @module
 */
import { isIP } from "node:net";
import { z } from "zod";

/** What the loader must know of a setting beyond its type. */
export interface FieldMeta {
  readonly description: string;
  /** `whole`: never shown; `url`: shown without credentials. Both have a `…File` variant. */
  readonly secret?: "whole" | "url";
  /** A path on this machine, made absolute when read; a `file` must be readable, `output` is written. */
  readonly location?: "file" | "directory" | "output";
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

export const count = (fallback: number, { min, max }: Range, description: string) =>
  z.int().min(min).max(max).default(fallback).meta({ description });
export const ratio = (fallback: number, { min, max }: Range, description: string) =>
  z.number().min(min).max(max).default(fallback).meta({ description });
export const flag = (fallback: boolean, description: string) =>
  z.boolean().default(fallback).meta({ description });
export const file = (description: string) =>
  z.string().min(1).nullable().default(null).meta({ description, location: "file" });
export const host = (description: string) =>
  z
    .string()
    .refine((value) => isIP(value) !== 0 || /^[A-Za-z0-9.-]+$/.test(value), "must be a host or IP")
    .default("127.0.0.1")
    .meta({ description });
export const port = (fallback: number, description: string) =>
  count(fallback, { min: 0, max: 65_535 }, `${description} (0: any free port).`);
