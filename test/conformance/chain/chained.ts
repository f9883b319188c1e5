/**
 * Imported first by the test files of this folder. Their tests run behind two gateways. A test fails here if it fails and the table of
 * exceptions does not name it, and if it passes and the table names it.
 */
import { beforeEach, expect, test } from 'vitest';
import { useChain } from '../../helpers/chain.js';
import { limitWaits, NET } from '../../helpers/wait.js';
import { ERAS, RULES, type Exception } from '../chain-exceptions.js';

useChain();

/** Time limit of the waits of a test that must fail. */
const SHORT = 3000;
const whole = NET;
const found = new Map<Exception, number>();

beforeEach(({ task }) => {
  const exception = exceptionOf(task.name);
  // The runner reads this after the test: it passes if the test has failed.
  Object.assign(task, { fails: exception !== undefined });
  limitWaits(exception ? SHORT : whole);
  if (exception) found.set(exception, (found.get(exception) ?? 0) + 1);
});

/** Called last by a file: each exception names as many tests as it says. */
export function expectAll(exceptions: readonly Exception[]): void {
  test('each exception names the tests that it is about', () => {
    const counts = exceptions.map((exception) => `${exception.test}: ${found.get(exception) ?? 0}`);
    expect(counts).toEqual(exceptions.map(({ test: name, count }) => `${name}: ${count}`));
  });
}

function exceptionOf(name: string): Exception | undefined {
  const [, sentence, where] = /^(.*?)(?: \(([^()]*)\))?$/.exec(name) ?? [];
  return [...ERAS, ...RULES].find(
    (exception) =>
      (exception.test === name || exception.test === sentence) &&
      (exception.where === undefined || exception.where.test(where ?? '')),
  );
}
