import { afterAll, onTestFinished } from 'vitest';

type Cleanup = () => unknown;
const forFile: Cleanup[] = [];

afterAll(async () => {
  for (const run of forFile.splice(0).reverse()) await run();
});

/** Runs `cleanup` when the running test ends; called in a `beforeAll`, when the file ends. */
export function atEnd(cleanup: Cleanup): void {
  try {
    onTestFinished(async () => {
      await cleanup();
    });
  } catch {
    forFile.push(cleanup);
  }
}
