import { describe, expect, it } from 'vitest';
import { Readiness } from '../../../src/gateway/readiness.js';
import { silent, type Logger } from '../../../src/observe/log.js';

function begin(...required: readonly string[]) {
  const said: string[] = [];
  const log: Logger = { ...silent, info: (message) => said.push(message) };
  const readiness = new Readiness(required, log);
  const seen: string[] = [];
  void readiness.serving.then(() => seen.push('serving'));
  void readiness.failed.then((error) => seen.push(`failed: ${error.message}`));
  const now = async (): Promise<string[]> => {
    await new Promise(setImmediate);
    return seen;
  };
  return { readiness, said, now };
}

describe('readiness', () => {
  it('needs every required server once, and no other one', async () => {
    const { readiness, said, now } = begin('a', 'b');
    expect(readiness.state).toBe('starting');
    readiness.settle('other');
    readiness.settle('a');
    readiness.settle('a');
    expect(readiness.waitingFor).toEqual(['b']);
    expect(await now()).toEqual([]);
    readiness.settle('b');
    expect(readiness.state).toBe('serving');
    expect(readiness.waitingFor).toEqual([]);
    expect(await now()).toEqual(['serving']);
    // Once ready, it stays so.
    readiness.settle('b');
    readiness.gaveUp('b', new Error('gone'));
    expect(readiness.state).toBe('serving');
    expect(said).toEqual(['ready: every required upstream has been up']);
    expect(await now()).toEqual(['serving']);
  });

  it('is there from the start where no server is required', () => {
    const { readiness, said } = begin();
    expect(readiness.state).toBe('serving');
    readiness.settle('a');
    expect(said).toEqual([]);
  });

  it('fails where a required server gives up, and not where another one does', async () => {
    const { readiness, now } = begin('a');
    readiness.gaveUp('b', new Error('no'));
    expect(await now()).toEqual([]);
    readiness.gaveUp('a', new Error('refused'));
    readiness.gaveUp('a', new Error('again'));
    expect(await now()).toEqual(["failed: required upstream 'a' cannot be reached: refused"]);
    expect(readiness.state).toBe('starting');
  });

  it('does not fail for a server that a reload no longer requires', async () => {
    const { readiness, now } = begin('a', 'b');
    readiness.settle('a');
    readiness.gaveUp('a', new Error('refused'));
    expect(await now()).toEqual([]);
    readiness.settle('b');
    expect(readiness.state).toBe('serving');
  });

  it('does not come, or fail, once it drains', async () => {
    const { readiness, said, now } = begin('a', 'b');
    readiness.drain();
    expect([readiness.state, readiness.stopping]).toEqual(['draining', true]);
    readiness.gaveUp('a', new Error('refused'));
    readiness.settle('a');
    readiness.settle('b');
    expect(readiness.state).toBe('draining');
    expect(said).toEqual([]);
    expect(await now()).not.toContain('failed');
  });

  it('is still serving, or starting, while it stops', async () => {
    const { readiness, now } = begin('a');
    readiness.stop();
    expect([readiness.state, readiness.stopping]).toEqual(['starting', true]);
    // Nobody waits for it any more: that is no failure to start.
    readiness.gaveUp('a', new Error('refused'));
    expect(await now()).toEqual([]);
    readiness.settle('a');
    expect(readiness.state).toBe('serving');
    readiness.drain();
    readiness.stop();
    expect(readiness.state).toBe('draining');
  });
});
