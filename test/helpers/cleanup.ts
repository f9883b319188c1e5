import { afterAll, onTestFinished } from 'vitest';

type Cleanup = () => unknown;
const forFile: Cleanup[] = [];

afterAll(async () => {
  for (const run of forFile.splice(0).reverse()) await run();
});

/** Runs `cleanup` when the current test ends, or at the end of the file if called in a `beforeAll`. */
export function atEnd(cleanup: Cleanup): void {
  try {
    onTestFinished(async () => {
      await cleanup();
    });
  } catch {
    forFile.push(cleanup);
  }
}
