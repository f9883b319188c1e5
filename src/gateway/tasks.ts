/** The tasks of clients and of servers of the legacy era. */
import { createTaskCancels } from '../bridge/tasks/cancel.js';
import { createLegacyTasks } from '../bridge/tasks/legacy.js';
import { createTasks, type TasksDeps } from '../proxy/tasks.js';
import type { Streams } from '../session/streams.js';

type LegacyDeps = Parameters<typeof createLegacyTasks>[0];

export interface GatewayTasksDeps extends Omit<LegacyDeps, 'limits'> {
  readonly limits: () => ReturnType<LegacyDeps['limits']> & { readonly message_bytes: number };
  readonly streams: Streams;
  readonly now: () => number;
  readonly ids: TasksDeps['ids'];
}

export function createGatewayTasks(deps: GatewayTasksDeps) {
  const { boundary, budget, limits, streams, now, ids } = deps;
  const legacy = createLegacyTasks(deps);
  const tasks = createTasks({
    ...{ boundary, budget, now, ids },
    tell: (session, notice) => {
      streams.notify(session, notice);
    },
    describe: (link, taskId) => legacy.describe(link, taskId),
    maxBytes: () => limits().message_bytes,
  });
  return { legacy, tasks, cancels: createTaskCancels() };
}
