import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InvalidConfigError, isId } from "../../src/core/index.ts";
import { inventHistory, readHistory } from "../../src/fleet/index.ts";
import { type TempDir, tempDir } from "../support/disk.ts";

let dir: TempDir;
let ratingsFile: string;
beforeEach(() => {
  dir = tempDir("omega-history-");
  ratingsFile = join(dir.path, "ratings.dat");
});
afterEach(() => dir.remove());

const writeRatings = (...lines: string[]) => writeFileSync(ratingsFile, `${lines.join("\n")}\n`);
const writeMovies = (...lines: string[]) =>
  writeFileSync(join(dir.path, "movies.dat"), `${lines.join("\n")}\n`);

/** As MovieTweetings writes it: users by number, a user's lines in no order of time. */
const TWEETINGS = [
  "1::1074638::7::1365029107",
  "2::0104257::8::1364690142",
  "2::0002844::10::1364690100",
  "2::1074638::3::1364690199",
  "10::1074638::9::1400000000",
  "10::0004972::6::1300000000",
  "9::0004972::6::1300000000",
  "9::0004936::8::1300000001",
];

describe("history: a ratings file", () => {
  it("history: each viewer's ratings in the order of time, joined to the items", async () => {
    writeRatings(...TWEETINGS);
    const { items, viewers } = await readHistory(ratingsFile, 100);
    const told = viewers.map(({ id, ratings }) => ({
      id,
      ratings: ratings.map(({ item, rating, timeS }) => [items[item]?.id, rating, timeS]),
    }));
    expect(told[0]).toEqual({
      id: "tv-2",
      ratings: [
        ["0002844", 10, 1364690100],
        ["0104257", 8, 1364690142],
        ["1074638", 3, 1364690199],
      ],
    });
    expect(told[2]?.ratings).toEqual([
      ["0004972", 6, 1300000000],
      ["1074638", 9, 1400000000],
    ]);
    expect(new Set(items.map((item) => item.id)).size).toBe(5);
  });

  it("history: the most active viewers come first, the lower number before the higher", async () => {
    writeRatings(...TWEETINGS);
    const ids = async (viewersMax: number) =>
      (await readHistory(ratingsFile, viewersMax)).viewers.map((viewer) => viewer.id);
    expect(await ids(100)).toEqual(["tv-2", "tv-9", "tv-10", "tv-1"]);
    expect(await ids(2)).toEqual(["tv-2", "tv-9"]);
  });

  it("history: ratings at the same second keep the order of the file", async () => {
    writeRatings("1::b::8::5", "1::a::9::5", "1::c::7::4");
    const { items, viewers } = await readHistory(ratingsFile, 1);
    expect(viewers[0]?.ratings.map(({ item }) => items[item]?.id)).toEqual(["c", "b", "a"]);
  });

  it("history: movies.dat beside it gives titles in UTF-8, years and genres", async () => {
    writeRatings(...TWEETINGS);
    writeMovies(
      "0002844::Fantômas - À l'ombre de la guillotine (1913)::Crime|Drama",
      "0004936::千と千尋の神隠し (2001)::",
      "0004972::The (1999) Movie",
      "7777777::Never rated (2000)::Drama",
    );
    const { items } = await readHistory(ratingsFile, 1);
    const item = (id: string) => items.find((candidate) => candidate.id === id);
    expect(item("0002844")).toEqual({
      ...{ id: "0002844", title: "Fantômas - À l'ombre de la guillotine" },
      ...{ year: 1913, genres: ["Crime", "Drama"] },
    });
    expect(item("0004936")).toMatchObject({ title: "千と千尋の神隠し", year: 2001, genres: [] });
    expect(item("0004972")).toMatchObject({ title: "The (1999) Movie", year: 0, genres: [] });
    expect(item("1074638")).toEqual({ id: "1074638", title: "", year: 0, genres: [] });
    expect(item("7777777")).toBeUndefined();
  });

  it("history: without movies.dat the items have no title, and that is enough", async () => {
    writeRatings(...TWEETINGS);
    const { items } = await readHistory(ratingsFile, 1);
    expect(items[0]).toEqual({ id: "1074638", title: "", year: 0, genres: [] });
  });

  it("history: a movies.dat that is there and cannot be read is refused", async () => {
    writeRatings(...TWEETINGS);
    mkdirSync(join(dir.path, "movies.dat"));
    await expect(readHistory(ratingsFile, 1)).rejects.toThrow(/movies\.dat must be readable/);
  });

  it("history: files from Windows, with its line ends and its mark at the front", async () => {
    writeFileSync(ratingsFile, "\u{feff}1::7::8::5\r\n\r\n2::7::9::6\r\n");
    writeFileSync(join(dir.path, "movies.dat"), "7::Plain\r\n8::Other (1990)::Drama\r\n");
    const { items, viewers } = await readHistory(ratingsFile, 9);
    expect(viewers.map((viewer) => viewer.id)).toEqual(["tv-1", "tv-2"]);
    expect(items).toEqual([{ id: "7", title: "Plain", year: 0, genres: [] }]);
  });

  it("history: five stars are as good as ten points, or no TV would learn from MovieLens", async () => {
    writeRatings("1::1193::5::978300760", "1::661::3::978302109", "2::914::3.5::978301968");
    const { viewers } = await readHistory(ratingsFile, 9);
    const ratings = viewers.map((viewer) => viewer.ratings.map(({ rating }) => rating));
    expect(ratings).toEqual([[10, 6], [7]]);
  });

  it.each([
    ["a field is missing", "1::2::8"],
    ["there is a field too many", "1::2::8::5::9"],
    ["the separator is another", "1,2,8,5"],
    ["the user is missing", "::2::8::5"],
    ["the user cannot be a device", "a/b::2::8::5"],
    ["the user is too long for a device", `${"1".repeat(62)}::2::8::5`],
    ["the item is missing", "1::::8::5"],
    ["the rating is missing", "1::2::::5"],
    ["the rating is a word", "1::2::good::5"],
    ["the rating is above 10", "1::2::11::5"],
    ["the rating is below 0", "1::2::-1::5"],
    ["the rating is not finite", "1::2::Infinity::5"],
    ["the time is missing", "1::2::8::"],
    ["the time is a date", "1::2::8::2013-04-03"],
    ["the time is beyond any date", "1::2::8::99999999999999999"],
  ])("history: a line is refused with its number when %s", async (_, line) => {
    writeRatings("1::2::8::5", "", line, "1::3::8::5");
    const error = await readHistory(ratingsFile, 1).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(InvalidConfigError);
    expect(`${error}`).toContain(`${ratingsFile} line 3 must be user::item::rating::time`);
    expect(`${error}`).toContain(JSON.stringify(line.slice(0, 80)));
  });

  it("history: a file that is not there is refused by its name", async () => {
    const error = await readHistory(ratingsFile, 1).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(InvalidConfigError);
    expect(`${error}`).toContain(`--ratings must name a readable file: got ${ratingsFile}`);
    expect((error as Error).cause).toMatchObject({ code: "ENOENT" });
  });

  it("history: an empty file has no viewers", async () => {
    writeRatings("");
    expect(await readHistory(ratingsFile, 5)).toEqual({ items: [], viewers: [] });
  });
});

describe("history: an invented world", () => {
  it("history: the same seed gives the same world, another seed another", () => {
    expect(inventHistory(20, 42)).toEqual(inventHistory(20, 42));
    expect(inventHistory(20, 43)).not.toEqual(inventHistory(20, 42));
  });

  it("history: more viewers leave the first ones as they were", () => {
    expect(inventHistory(30, 42).viewers.slice(0, 20)).toEqual(inventHistory(20, 42).viewers);
  });

  it("history: viewers are devices with 5 to 40 ratings of known items, in time order within 30 days", () => {
    const { items, viewers } = inventHistory(500, 1);
    expect(new Set(viewers.map((viewer) => viewer.id)).size).toBe(500);
    for (const { id, ratings } of viewers) {
      expect(isId(id)).toBe(true);
      expect(ratings.length).toBeGreaterThanOrEqual(5);
      expect(ratings.length).toBeLessThanOrEqual(40);
      const times = ratings.map((rating) => rating.timeS);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeLessThan(30 * 86_400);
      for (const { item, rating } of ratings) {
        expect(items[item]).toBeDefined();
        expect(rating).toBeGreaterThanOrEqual(2);
        expect(rating).toBeLessThanOrEqual(10);
      }
    }
  });

  it("history: few items are watched by many, and most viewers like something", () => {
    const { viewers } = inventHistory(500, 1);
    const ratings = viewers.flatMap((viewer) => viewer.ratings);
    const head = ratings.filter(({ item }) => item < 10).length;
    // Zipf over 600 items: ln 11 / ln 601 = 0.37 of all.
    expect(head / ratings.length).toBeGreaterThan(0.3);
    expect(head / ratings.length).toBeLessThan(0.45);
    const likers = viewers.filter((viewer) => viewer.ratings.some(({ rating }) => rating >= 7));
    expect(likers.length).toBeGreaterThan(450);
  });
});
