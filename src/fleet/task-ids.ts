/**
 * Ids of tasks: `t.<replica>.<tool>.<id>.<tag>`, the tool in base64url. The tag proves that a replica of this fleet gave the id to one principal, on one endpoint: a
 * replica goes by it when the one that made the task is gone, and no forged id is sent anywhere.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { NamedTask, OpenedTaskId, TaskAsker, TaskIds } from '../protocol/task-ids.js';
import { joined, type FleetKeys } from './keys.js';

const FORM = /^t\.([0-9a-f]{10})\.([A-Za-z0-9_-]*)\.([^]+)\.([A-Za-z0-9_-]{22})$/;
const TAG_BYTES = 16;

export interface FleetTaskIdsDeps {
  readonly keys: FleetKeys;
  /** The identity of this replica. */
  readonly self: string;
  /** Whether another replica is alive. */
  readonly isLive: (replica: string) => boolean;
}

export class FleetTaskIds implements TaskIds {
  readonly #deps: FleetTaskIdsDeps;

  constructor(deps: FleetTaskIdsDeps) {
    this.#deps = deps;
  }

  show(task: NamedTask): string {
    const { keys, self } = this.#deps;
    const tool = Buffer.from(task.tool ?? '').toString('base64url');
    return `t.${self}.${tool}.${task.id}.${tagOf(keys.current('task'), self, task).toString('base64url')}`;
  }

  open(shown: string, whose: TaskAsker): OpenedTaskId | undefined {
    const read = this.#read(shown, whose);
    if (!read) return undefined;
    const { id, tool, home } = read;
    const { self, isLive } = this.#deps;
    return { id, tool, home: home === self ? 'here' : isLive(home) ? 'elsewhere' : 'gone' };
  }

  /** The live replica that has a task; undefined: none has, or the id is forged. */
  homeOf(shown: string, whose: TaskAsker): string | undefined {
    const read = this.#read(shown, whose);
    const { self, isLive } = this.#deps;
    return read && (read.home === self || isLive(read.home)) ? read.home : undefined;
  }

  #read(shown: string, whose: TaskAsker): (NamedTask & { home: string }) | undefined {
    const [, home = '', said = '', id, text = ''] = FORM.exec(shown) ?? [];
    if (id === undefined) return undefined;
    const tag = Buffer.from(text, 'base64url');
    // Only one spelling: the last character has two bits more.
    if (tag.toString('base64url') !== text) return undefined;
    const tool = said === '' ? undefined : Buffer.from(said, 'base64url').toString();
    const task = { ...whose, id, tool };
    const isOurs = this.#deps.keys.all('task').some((key) => timingSafeEqual(tagOf(key, home, task), tag));
    return isOurs ? { ...task, home } : undefined;
  }
}

function tagOf(key: Buffer, home: string, { id, principal, server = '', tool = '' }: NamedTask): Buffer {
  const text = joined(home, principal, server, tool, id);
  return createHmac('sha256', key).update(text).digest().subarray(0, TAG_BYTES);
}
