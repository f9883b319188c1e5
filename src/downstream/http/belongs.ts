/** Which replica a request belongs to that has no session. */
import { find, param, type Message, type Messages } from '../../protocol/message.js';
import { objectOf } from '../../wire/json.js';
import type { Gate, Origin } from '../../proxy/gate.js';
import type { Replicas } from './replicas.js';

/** Where a request goes. */
export interface Belongs {
  readonly replica: string;
  /** The client whose links are there: another replica makes them if this one cannot be reached. */
  readonly client?: string | undefined;
}

/** Whether it is a retry: a state leads to the replica with its call. */
export function hasState(messages: Messages): boolean {
  return !Array.isArray(messages) && find(messages.params, 'requestState') !== undefined;
}

/** The other replica that has to handle a request, or had better, or may as well, as this one shuts down; undefined: this one handles it. */
export function belongsTo(
  replicas: Replicas,
  gate: Pick<Gate, 'prefers'>,
  origin: Origin,
  messages: Messages,
): Belongs | undefined {
  const whatever = replicas.isLeaving ? replicas.another() : undefined;
  if (Array.isArray(messages)) return at(whatever);
  if (hasState(messages)) {
    const state = param(messages, 'requestState');
    const owner = typeof state === 'string' ? replicas.ownerOf(state) : undefined;
    if (owner !== undefined) return at(owner === replicas.self ? undefined : owner);
  }
  if (origin.era === 'modern' && messages.kind === 'request') {
    const task = taskIn(messages);
    const home = task === undefined ? undefined : replicas.homeOfTask(task, origin);
    if (home !== undefined) return at(home === replicas.self ? undefined : home);
    const { client, server, era } = gate.prefers(origin, messages) ?? {};
    if (client !== undefined) return at(replicas.homeOfClient(client), client);
    const up = server === undefined ? undefined : replicas.whereUp(server, era);
    if (up !== undefined) return { replica: up };
  }
  return at(whatever);
}

function at(replica: string | undefined, client?: string): Belongs | undefined {
  return replica === undefined ? undefined : { replica, client };
}

/** The task that a request is about; a stream that follows several goes where the first one is. */
function taskIn(message: Message): string | undefined {
  switch (message.method) {
    case 'tasks/get':
    case 'tasks/update':
    case 'tasks/cancel': {
      const id = param(message, 'taskId');
      return typeof id === 'string' ? id : undefined;
    }
    case 'subscriptions/listen': {
      const ids = objectOf(param(message, 'notifications'))?.['taskIds'];
      const first: unknown = Array.isArray(ids) ? ids[0] : undefined;
      return typeof first === 'string' ? first : undefined;
    }
    default:
      return undefined;
  }
}
