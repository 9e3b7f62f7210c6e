/**
 * A process that wants the lock of a directory as soon as it is told "go". Plain JavaScript on the build.
 *
 *   node lock-contender.mjs <dist> <dir>
 * @module
 */
const [dist, dir] = process.argv.slice(2);
const { lockDirectory } = await import(`${dist}/src/store/embedded/directory-lock.js`);
const { systemClock } = await import(`${dist}/src/core/index.js`);

process.stdout.write("ready\n");
process.stdin.once("data", async () => {
  try {
    await lockDirectory(dir, systemClock);
    process.stdout.write("won\n");
  } catch (error) {
    process.stdout.write(`lost ${error.reason}\n`);
  }
});
