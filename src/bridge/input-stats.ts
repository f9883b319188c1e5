/** Counts questions of upstreams by their outcome. */
import type { ServerStats } from '../observe/stats.js';
import { ASKABLE } from './asked.js';

export function countInput(stats: ServerStats, method: string, result: string): void {
  stats.inputRequests.add(`${ASKABLE.has(method) ? method : 'other'}\0${result}`);
}
