/**
 * A history: who rated what when, from a ratings file or from an invented world.
 * @module
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  InvalidConfigError,
  integerBelow,
  isId,
  type Random,
  seededRandom,
} from "../core/index.ts";
import type { Item } from "./catalogue.ts";

interface Rating {
  /** Index into `items`. */
  readonly item: number;
  /** 0 … 10. */
  readonly rating: number;
  /** Unix seconds. */
  readonly timeS: number;
}

export interface Viewer {
  /** A device id. */
  readonly id: string;
  /** In time order. */
  readonly ratings: readonly Rating[];
}

export interface History {
  readonly items: readonly Item[];
  readonly viewers: readonly Viewer[];
}

/** A user's device is `tv-` and the user's id. */
const DEVICE_PREFIX = "tv-";
const RATING_MAX = 10;
/** A file without a higher rating counts in stars, as MovieLens does, not in tenths. */
const STARS_MAX = 5;
/** Far beyond every history; a `Date` still holds it. */
const TIME_S_MAX = 2 ** 40;

/**
 * Reads `user::item::rating::unix time` lines (the MovieTweetings form, 0 … 10,
 * and the MovieLens 1M form, up to 5 stars, which are doubled), with `movies.dat`
 * (`item::title (year)::genre|genre`, UTF-8) beside it when there is one. Keeps the
 * `viewersMax` users with the most ratings, ties by user id, among those that
 * rated anything above 0.
 * @throws InvalidConfigError for a file that cannot be read, or a broken line, with its number.
 */
export async function readHistory(ratingsFile: string, viewersMax: number): Promise<History> {
  const text = await readFile(ratingsFile, "utf8").catch((cause: unknown) => {
    throw new InvalidConfigError([`--ratings must name a readable file: got ${ratingsFile}`], {
      cause,
    });
  });
  const itemIndex = new Map<string, number>();
  const byUser = new Map<string, Rating[]>();
  let ratingMax = 0;
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const { user, item, rating, timeS } = parseLine(line, `${ratingsFile} line ${index + 1}`);
    const position = itemIndex.get(item) ?? itemIndex.size;
    itemIndex.set(item, position);
    const ratings = byUser.get(user) ?? [];
    ratings.push({ item: position, rating, timeS });
    byUser.set(user, ratings);
    ratingMax = Math.max(ratingMax, rating);
  }
  const factor = ratingMax <= STARS_MAX ? RATING_MAX / STARS_MAX : 1;
  const titles = await readTitles(join(dirname(ratingsFile), "movies.dat"));
  const items = [...itemIndex.keys()].map(
    (id) => titles.get(id) ?? { id, title: "", year: 0, genres: [] },
  );
  const viewers = [...byUser]
    .filter(([, ratings]) => ratings.some((rating) => rating.rating > 0))
    .sort(([a, left], [b, right]) => right.length - left.length || compareUsers(a, b))
    .slice(0, viewersMax)
    .map(([user, ratings]) => ({
      id: `${DEVICE_PREFIX}${user}`,
      ratings: ratings
        .map((rating) => ({ ...rating, rating: rating.rating * factor }))
        .sort((a, b) => a.timeS - b.timeS),
    }));
  return { items, viewers };
}

function parseLine(line: string, where: string) {
  const [user = "", item = "", rating = "", timeS = "", ...rest] = line.trim().split("::");
  const value = { user, item, rating: Number(rating), timeS: Number(timeS) };
  const isGood =
    rest.length === 0 &&
    isId(`${DEVICE_PREFIX}${user}`) &&
    user !== "" &&
    item !== "" &&
    // `Number` alone would read an empty field as 0.
    /^\d+(\.\d+)?$/.test(rating) &&
    value.rating <= RATING_MAX &&
    /^\d+$/.test(timeS) &&
    value.timeS <= TIME_S_MAX;
  if (isGood) return value;
  throw new InvalidConfigError([
    `${where} must be user::item::rating::time with a rating of 0 … ${RATING_MAX}: ` +
      `got ${JSON.stringify(line.slice(0, 80))}`,
  ]);
}

/** The order of numbers for numbers without leading zeros, and a total order for everything else. */
function compareUsers(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : 1);
}

async function readTitles(file: string): Promise<Map<string, Item>> {
  const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return "";
    throw new InvalidConfigError([`${file} must be readable or absent`], { cause });
  });
  const items = new Map<string, Item>();
  for (const line of text.split("\n")) {
    const [id, name, genres] = line.split("::");
    if (!id || name === undefined) continue;
    const year = Number(/\((\d{4})\)\s*$/.exec(name)?.[1] ?? 0);
    const title = name.replace(/\s*\(\d{4}\)\s*$/, "").trim();
    items.set(id, { id, title, year, genres: genres?.trim() ? genres.trim().split("|") : [] });
  }
  return items;
}

const GENRES = [
  ...["Action", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy"],
  ...["History", "Horror", "Music", "Mystery", "Romance", "Sci-Fi", "Sport", "Thriller"],
];
const WORLD_ITEMS = 600;
const WORLD_START_S = 1_760_000_000;
const WORLD_DAYS = 30;

/**
 * An invented world: items of one or two genres with Zipf popularity, viewers
 * who love three genres and rate 5 … 40 items over 30 days. The same seed gives
 * the same world.
 */
export function inventHistory(viewerCount: number, seed: number): History {
  const random = seededRandom(seed);
  const items = Array.from({ length: WORLD_ITEMS }, (_, index) => inventItem(index, random));
  const viewers = Array.from({ length: viewerCount }, (_, index) => {
    const loved = new Set([1, 2, 3].map(() => pick(GENRES, random)));
    const count = 5 + integerBelow(random, 36);
    const ratings = Array.from({ length: count }, () => inventRating(items, loved, random));
    return {
      id: `tv-${String(index + 1).padStart(4, "0")}`,
      ratings: ratings.sort((a, b) => a.timeS - b.timeS),
    };
  });
  return { items, viewers };
}

function inventItem(index: number, random: Random): Item {
  const genres = [...new Set([pick(GENRES, random), pick(GENRES, random)])];
  const year = 1970 + integerBelow(random, 55);
  return { id: `item-${index}`, title: `Title ${index}`, year, genres };
}

function inventRating(items: readonly Item[], loved: ReadonlySet<string>, random: Random): Rating {
  // Inverse-power sampling: rank r with probability falling like 1/r.
  const item = Math.min(items.length - 1, Math.floor(items.length ** random.next()) - 1);
  const likes = items[item]?.genres.some((genre) => loved.has(genre)) ?? false;
  const rating = likes ? 7 + integerBelow(random, 4) : 2 + integerBelow(random, 6);
  const timeS = WORLD_START_S + integerBelow(random, WORLD_DAYS * 86_400);
  return { item: Math.max(0, item), rating, timeS };
}

function pick<T>(values: readonly T[], random: Random): T {
  return values[integerBelow(random, values.length)] as T;
}
