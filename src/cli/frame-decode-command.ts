/**
 * `omega-sync frame decode`: any payload of the wire, made readable.
 * @module
 */
import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { SerializationError } from "../core/index.ts";
import { type CodecModels, decodeModel, loadZstd, readModelFrame } from "../wire/index.ts";
import { EXIT } from "./exit.ts";
import { describeFrame, type FrameDescription } from "./frame-decode.ts";
import { frameText } from "./frame-decode-text.ts";
import { type CliContext, printResult } from "./output.ts";

/** Far above any frame, even as spaced hex; only there to bound what a wrong file costs. */
const INPUT_BYTES_MAX = 4 * 1024 * 1024;

interface DecodeOptions {
  readonly hex?: boolean;
  readonly vectors?: boolean;
  readonly base: readonly string[];
  readonly model: readonly string[];
  readonly sender: string;
  readonly json?: boolean;
}

/** Adds `decode` to `command`, which is `frame`. */
export function register(command: Command, context: CliContext): void {
  command
    .command("decode")
    .description("print a frame readably; exit 1 with the reason when it is not a good one")
    .argument("[file]", "the payload of one MQTT message; - for stdin", "-")
    .option("--hex", "the input is hexadecimal text, white space allowed")
    .option("--base <file>", "down frame that came before; repeat for each, in order", also, [])
    .option("--model <file>", "frame of a codec model that the vectors need; repeatable", also, [])
    .option("--sender <tenant/device>", "whose delta it is, for one in unbiased mode", "")
    .option("--vectors", "whole vectors (in 2^-14 of a unit) instead of their norms")
    .option("--json", "one JSON object: {frameBytes, header, body, content, fault}")
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync frame decode test/golden/v1/delta-mixed-stored.bin
  $ omega-sync frame decode part-2.bin --base part-1.bin --model model-7.bin
  $ mosquitto_sub -C 1 -N -t omega/v1/default/d/tv-1/down … | omega-sync frame decode
  $ echo "ce 01 00 a1 00 05" | omega-sync frame decode --hex --json`,
    )
    .action(async (file: string, options: DecodeOptions) => {
      const zstd = await loadZstd();
      const bytes = await readFrame(context, file, options);
      const { sender } = options;
      const before = await readAll(context, options.base, options);
      const models = modelsOf(await readAll(context, options.model, options));
      const vectors = options.vectors === true;
      const description = describeFrame(bytes, zstd, { before, models, sender, vectors });
      printResult(context, options, {
        text: frameText(description),
        value: jsonOf(description),
      });
      if (description.fault !== null) context.exitCode = EXIT.failure;
    });
}

function jsonOf(description: FrameDescription): object {
  const { fault } = description;
  const { code, reason, message, detail } = fault ?? {};
  return { ...description, fault: fault === null ? null : { code, reason, message, detail } };
}

/** Commander's way to collect the values of an option that is repeated. */
function also(value: string, former: readonly string[]): readonly string[] {
  return [...former, value];
}

async function readAll(
  context: CliContext,
  files: readonly string[],
  options: DecodeOptions,
): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for (const file of files) frames.push(await readFrame(context, file, options));
  return frames;
}

/** Throws what `readModelFrame` and `decodeModel` throw. */
function modelsOf(frames: readonly Uint8Array[]): CodecModels {
  const models = frames.map((frame) => decodeModel(readModelFrame(frame).model));
  return { get: (version) => models.find((model) => model.version === version) ?? null };
}

async function readFrame(
  context: CliContext,
  file: string,
  options: DecodeOptions,
): Promise<Uint8Array> {
  const stream = file === "-" ? context.stdin : createReadStream(resolve(context.cwd, file));
  const bytes = await readBounded(stream, file);
  return options.hex ? bytesOfHex(new TextDecoder().decode(bytes)) : bytes;
}

async function readBounded(stream: AsyncIterable<Uint8Array>, file: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream) {
      length += chunk.length;
      chunks.push(chunk);
      if (length > INPUT_BYTES_MAX) break;
    }
  } catch (error) {
    throw new SerializationError("input.unreadable", `cannot read ${file}`, { cause: error });
  }
  if (length <= INPUT_BYTES_MAX) return Buffer.concat(chunks);
  throw new SerializationError("input.size", `${file} is no frame: over ${INPUT_BYTES_MAX} bytes`);
}

function bytesOfHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "").replace(/^0x/i, "");
  if (/^([0-9a-f]{2})*$/i.test(digits)) return Buffer.from(digits, "hex");
  throw new SerializationError("input.hex", "expected pairs of hexadecimal digits");
}
