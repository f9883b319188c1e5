/**
 * The methods that clients send, one row each: the era of a method, and what the gateway needs to know about it. A new method is a row here
 * and a file that handles it. A method that is not in the table may belong to an extension.
 */
import { foldName } from '../wire/fold.js';
import type { Era } from './revisions.js';

export interface Method {
  /** The era of the method, if only one has it. It decides the era of the request (2026-07-28, basic/versioning). */
  readonly eras: 'both' | Era;
  /** The member of `params` that is repeated in the header `Mcp-Name` (2026-07-28, basic/transports/streamable-http). */
  readonly name?: 'name' | 'uri' | 'taskId';
  /** A server may request input before it answers (2026-07-28, basic/patterns/mrtr, "Supported Requests"). */
  readonly asks?: true;
  /** The first request to a server: never cancelled, and slow to be answered by a starting child. */
  readonly first?: true;
  /** The gateway answers without waiting for anything. */
  readonly atOnce?: true;
}

const ROWS: Readonly<Record<string, Method>> = {
  initialize: { eras: 'legacy', first: true, atOnce: true },
  ping: { eras: 'legacy', atOnce: true },
  'server/discover': { eras: 'modern', first: true },
  'subscriptions/listen': { eras: 'modern' },
  'tools/list': { eras: 'both' },
  'tools/call': { eras: 'both', name: 'name', asks: true },
  'prompts/list': { eras: 'both' },
  'prompts/get': { eras: 'both', name: 'name', asks: true },
  'resources/list': { eras: 'both' },
  'resources/templates/list': { eras: 'both' },
  'resources/read': { eras: 'both', name: 'uri', asks: true },
  'resources/subscribe': { eras: 'legacy' },
  'resources/unsubscribe': { eras: 'legacy' },
  'completion/complete': { eras: 'both' },
  'skills/list': { eras: 'both' },
  'skills/get': { eras: 'both' },
  'resources/directory/read': { eras: 'both' },
  'logging/setLevel': { eras: 'legacy', atOnce: true },
  'tasks/get': { eras: 'both', name: 'taskId' },
  'tasks/update': { eras: 'modern', name: 'taskId' },
  'tasks/cancel': { eras: 'both', name: 'taskId' },
  'tasks/list': { eras: 'legacy' },
  'tasks/result': { eras: 'legacy' },
  'notifications/initialized': { eras: 'legacy' },
  'notifications/cancelled': { eras: 'both' },
  'notifications/progress': { eras: 'legacy' },
  'notifications/roots/list_changed': { eras: 'legacy' },
};

const METHODS: ReadonlyMap<string, Method> = new Map(Object.entries(ROWS));
const FOLDED: ReadonlySet<string> = new Set(Object.keys(ROWS).map(foldName));

/**
 * Whether a method is one of the protocol, or could be taken for one by some servers: in another case, with spaces at its ends, or with a
 * NUL. Such a request must not reach a server past what the gateway does with the method.
 */
export function readsAsMethod(method: string): boolean {
  return METHODS.has(method) || FOLDED.has(foldName(method.trim()).trim());
}

/** The row of a method; undefined: not a method of the protocol. */
export function methodOf(method: string): Method | undefined {
  return METHODS.get(method);
}
