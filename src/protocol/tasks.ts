/**
 * Tasks are two protocols: an experimental part of 2025-11-25 (basic/utilities/tasks), and the extension
 * io.modelcontextprotocol/tasks of the modern era. Here stands who has which.
 */
import type { Peer } from './ports.js';

export const TASKS = 'io.modelcontextprotocol/tasks';

/** What a request without the extension is told that needs it. */
export const NEEDS_TASKS = { requiredCapabilities: { extensions: { [TASKS]: {} } } } as const;

/** Of a modern client, with one request, or of a modern server. */
export function declaresTasks(capabilities: Readonly<Record<string, unknown>>): boolean {
  const { extensions } = capabilities;
  return isObject(extensions) && extensions[TASKS] !== undefined;
}

/** 2025-11-25, basic/utilities/tasks, "Capabilities": `requests.tools.call`. `tasks`: what a server says of them. */
export function coversCalls(tasks: unknown): boolean {
  const { requests } = (isObject(tasks) ? tasks : {}) as {
    requests?: { tools?: { call?: unknown } | null } | null;
  };
  return requests?.tools?.call !== undefined;
}

/** Whether calls of an upstream can become tasks, in the words of its era. */
export function makesTasks({ era, capabilities }: Pick<Peer, 'era' | 'capabilities'>): boolean {
  return era === 'modern' ? declaresTasks(capabilities) : coversCalls(capabilities['tasks']);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
