/** Telling upstreams that nobody wants the result of a task any more. */
import type { Link } from '../../protocol/ports.js';
import { objectOf } from '../../wire/json.js';

export interface TaskCancels {
  /** `params`: JSON. Whether it is heard changes nothing for who sends it. */
  send(link: Link, params: string): void;
  /** Resolves when all that was sent is answered, after `ms` at the latest. */
  settled(ms: number): Promise<void>;
}

export function createTaskCancels(): TaskCancels {
  const under = new Set<Promise<unknown>>();
  return {
    send(link, params) {
      const cancel = link.request('tasks/cancel', params).catch(() => undefined);
      under.add(cancel);
      void cancel.then(() => under.delete(cancel));
    },
    async settled(ms) {
      // What ends a call may have happened just now.
      await new Promise(setImmediate);
      if (under.size === 0) return;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
      await Promise.race([Promise.all(under), late]);
      clearTimeout(timer);
    },
  };
}

/** Whether a legacy upstream takes tasks/cancel (2025-11-25, basic/utilities/tasks, "Capabilities"). */
export function canCancel({ peer }: Link): boolean {
  return (objectOf(peer?.capabilities['tasks'])?.['cancel'] ?? undefined) !== undefined;
}
