/** What became of the questions of upstreams, in numbers. */
import type { ServerStats } from '../observe/stats.js';

const METHODS = new Set(['elicitation/create', 'sampling/createMessage', 'roots/list']);

export function countInput(stats: ServerStats, method: string, result: string): void {
  stats.inputRequests.add(`${METHODS.has(method) ? method : 'other'}\0${result}`);
}
