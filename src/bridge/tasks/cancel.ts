/** Cancels tasks of upstreams whose result is no longer wanted. */
import type { Link } from '../../protocol/ports.js';
import { objectOf } from '../../wire/json.js';

export interface TaskCancels {
  /** Sends tasks/cancel and ignores its outcome. `params`: JSON. */
  send(link: Link, params: string): void;
  /** Resolves when every cancel is answered, or after `ms`. */
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
      // Calls that ended in this turn may send their cancels first.
      await new Promise(setImmediate);
      if (under.size === 0) return;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
      await Promise.race([Promise.all(under), late]);
      clearTimeout(timer);
    },
  };
}

/** Whether a legacy upstream supports tasks/cancel (2025-11-25, basic/utilities/tasks, "Capabilities"). */
export function canCancel({ peer }: Link): boolean {
  return (objectOf(peer?.capabilities['tasks'])?.['cancel'] ?? undefined) !== undefined;
}
