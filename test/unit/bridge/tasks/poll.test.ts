import { expect, test } from 'vitest';
import { readTask } from '../../../../src/bridge/tasks/poll.js';

test.each([
  ['pollIntervalMs', 0, 50],
  ['pollIntervalMs', 700, 700],
  ['pollInterval', 700, 700],
  ['pollIntervalMs', 1e9, 60_000],
  ['pollIntervalMs', 'soon', 1000],
])('a task with the %s %j is asked after every %i ms', (name, asked, pollMs) => {
  const task = { taskId: 't', status: 'working', [name]: asked };
  expect(readTask(Buffer.from(JSON.stringify(task)), 1 << 20)).toMatchObject({ pollMs });
});
