/**
 * A history: who rated what when, from a ratings file or from an invented world.
 * @module
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InvalidConfigError, integerBelow, type Random, seededRandom } from "../core/index.ts";
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

/**
 * Reads `user::item::rating::unix time` lines (the MovieTweetings and MovieLens
 * 1M form), with `movies.dat` (`item::title (year)::genre|genre`) beside it when
 * there is one, and keeps the `viewersMax` users with the most ratings, ties by
 * user id. Broken lines are refused with their number.
 */
export async function readHistory(ratingsFile: string, viewersMax: number): Promise<History> {
  const text = await readFile(ratingsFile, "utf8").catch((cause: unknown) => {
    throw new InvalidConfigError([`--ratings must name a readable file: got ${ratingsFile}`], {
      cause,
    });
  });
  const itemIndex = new Map<string, number>();
  const byUser = new Map<string, Rating[]>();
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const [user, item, rating, timeS, ...rest] = line.trim().split("::");
    const numbers = [Number(rating), Number(timeS)];
    if (!user || !item || rest.length > 0 || numbers.some((value) => !Number.isFinite(value))) {
      throw new InvalidConfigError([
        `${ratingsFile} line ${index + 1} must be user::item::rating::time: got ${JSON.stringify(line.slice(0, 80))}`,
      ]);
    }
    const position = itemIndex.get(item) ?? itemIndex.size;
    itemIndex.set(item, position);
    const ratings = byUser.get(user) ?? [];
    ratings.push({ item: position, rating: numbers[0] ?? 0, timeS: numbers[1] ?? 0 });
    byUser.set(user, ratings);
  }
  const titles = await readTitles(join(dirname(ratingsFile), "movies.dat"));
  const items = [...itemIndex.keys()].map(
    (id) => titles.get(id) ?? { id, title: "", year: 0, genres: [] },
  );
  const viewers = [...byUser]
    .filter(([, ratings]) => ratings.some((rating) => rating.rating > 0))
    .sort(([a, left], [b, right]) => right.length - left.length || Number(a) - Number(b))
    .slice(0, viewersMax)
    .map(([user, ratings]) => ({
      id: `tv-${user}`,
      ratings: ratings.sort((a, b) => a.timeS - b.timeS),
    }));
  return { items, viewers };
}

async function readTitles(file: string): Promise<Map<string, Item>> {
  const text = await readFile(file, "utf8").catch(() => "");
  const items = new Map<string, Item>();
  for (const line of text.split("\n")) {
    const [id, name, genres] = line.split("::");
    if (!id || name === undefined) continue;
    const year = Number(/\((\d{4})\)\s*$/.exec(name)?.[1] ?? 0);
    const title = name.replace(/\s*\(\d{4}\)\s*$/, "");
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
