/** A child that its process may run only as long as it has a lease: what is sent to it, and when. */
import { expect, it, onTestFinished } from 'vitest';
import type { StdioServerConfig } from '../../../../src/config/types.js';
import { Boundary } from '../../../../src/observe/boundary.js';
import { silent } from '../../../../src/observe/log.js';
import { Tally } from '../../../../src/observe/stats.js';
import type { LeasedChild } from '../../../../src/protocol/child-lease.js';
import { Stdio, type StdioDeps } from '../../../../src/upstream/stdio/stdio.js';
import { until } from '../../../helpers/wait.js';

/** Writes each line back. */
const config = {
  ...{ kind: 'stdio', name: 's', command: process.execPath, environment: {} },
  args: ['-e', 'process.stdin.pipe(process.stdout)'],
} as unknown as StdioServerConfig;

function setup() {
  const state = { holds: true, ended: false, lines: [] as string[], lost: '' };
  let child: LeasedChild | undefined;
  const owner = {
    server: 's',
    log: silent,
    boundary: new Boundary(silent, new Tally()),
    stderr: { add: () => undefined },
    observer: { sent: () => undefined, received: () => undefined },
    wheel: { after: () => ({ cancel: () => undefined }) },
    messageBytes: () => 65_536,
    budget: { holder: () => ({ grow: () => true, release: () => undefined }) },
  };
  const transport = (): Stdio =>
    new Stdio({
      config,
      owner: owner as unknown as StdioDeps['owner'],
      events: {
        seen: () => undefined,
        message: (bytes: Buffer) => state.lines.push(bytes.toString()),
        callFor: () => undefined,
        lost: ({ message }: Error) => (state.lost = message),
      } as unknown as StdioDeps['events'],
      watcher: {
        add: () => undefined,
        remove: () => undefined,
        gone: () => Promise.resolve(),
        close: () => undefined,
      },
      lease: {
        holds: () => state.holds,
        started: (started) => {
          child = started;
          return () => (state.ended = true);
        },
      },
    });
  return { state, transport, child: () => child as LeasedChild };
}

const said = (n: number): Buffer => Buffer.from(`{"jsonrpc":"2.0","method":"notifications/${n}"}`);

it('is sent nothing without the lease, and all of it in order with the lease', async () => {
  const { state, transport, child } = setup();
  const stdio = transport();
  onTestFinished(() => {
    stdio.destroy();
  });
  stdio.post(said(1));
  await until(() => state.lines.length === 1, 'the first line');
  state.holds = false;
  for (const n of [2, 3]) stdio.post(said(n));
  // It is not there yet.
  child().resume();
  state.holds = true;
  stdio.post(said(4));
  child().resume();
  await until(() => state.lines.length === 4, 'the other lines');
  expect(state.lines).toEqual([1, 2, 3, 4].map((n) => said(n).toString()));
});

it('is killed with the lease, which hears when it has ended', async () => {
  const { state, transport, child } = setup();
  transport();
  child().kill();
  await until(() => state.ended, 'the end');
  expect(state.lost).toContain('lease');
});

it('is not started without the lease', () => {
  const { state, transport } = setup();
  state.holds = false;
  expect(transport).toThrow("'s' is not run by this replica");
});
