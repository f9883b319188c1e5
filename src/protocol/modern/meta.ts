/** The envelope of a modern request: what every one carries in `_meta` (2026-07-28, basic, "_meta"). */
import type { Message } from '../message.js';
import { find, param } from '../message.js';
import { LOG_LEVELS, type LogLevel } from '../ports.js';

const PREFIX = 'io.modelcontextprotocol/';
export const META = {
  protocolVersion: `${PREFIX}protocolVersion`,
  clientInfo: `${PREFIX}clientInfo`,
  clientCapabilities: `${PREFIX}clientCapabilities`,
  logLevel: `${PREFIX}logLevel`,
  subscriptionId: `${PREFIX}subscriptionId`,
  serverInfo: `${PREFIX}serverInfo`,
} as const;

/** The members that a modern request has and a legacy one must not. */
export const ENVELOPE: ReadonlySet<string> = new Set([
  META.protocolVersion,
  META.clientInfo,
  META.clientCapabilities,
  META.logLevel,
]);

export interface Envelope {
  readonly version: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON. */
  readonly clientInfo: string | undefined;
  readonly level: LogLevel | undefined;
}

/** Clients declare the same with every request: equal texts give the same object, and what follows from it is made once. */
const known = new Map<string, unknown>();
const MAX_KNOWN = 64;
const MAX_TEXT = 2048;

function declared(text: string): unknown {
  let capabilities = known.get(text);
  if (capabilities !== undefined) return capabilities;
  capabilities = JSON.parse(text);
  if (text.length > MAX_TEXT) return capabilities;
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(text, capabilities);
  return capabilities;
}

/** Reads the envelope, or says what is missing in it. */
export function readEnvelope(message: Message): Envelope | string {
  let version: unknown;
  let capabilities: unknown;
  let clientInfo: string | undefined;
  let level: unknown;
  for (const { key, start, end } of message.meta) {
    switch (key) {
      case META.protocolVersion:
        version = JSON.parse(message.body.toString('utf8', start, end));
        break;
      case META.clientCapabilities:
        capabilities = declared(message.body.toString('utf8', start, end));
        break;
      case META.clientInfo:
        clientInfo = message.body.toString('utf8', start, end);
        break;
      case META.logLevel:
        level = JSON.parse(message.body.toString('utf8', start, end));
        break;
      default:
    }
  }
  if (typeof version !== 'string') return `params._meta["${META.protocolVersion}"] must be a text`;
  if (typeof capabilities !== 'object' || capabilities === null || Array.isArray(capabilities))
    return `params._meta["${META.clientCapabilities}"] must be an object`;
  if (level !== undefined && !LOG_LEVELS.includes(level as LogLevel))
    return `params._meta["${META.logLevel}"] must be one of ${LOG_LEVELS.join(', ')}`;
  return {
    version,
    capabilities: capabilities as Record<string, unknown>,
    clientInfo,
    level: level as LogLevel | undefined,
  };
}

/** Where a request names what it is about, for the header `Mcp-Name`; undefined: its method has none. */
export function nameOf(message: Message): string | undefined {
  const key = NAME_KEYS[message.method];
  if (key === undefined || !find(message.params, key)) return undefined;
  const value = param(message, key);
  return typeof value === 'string' ? value : undefined;
}

/** Methods whose requests carry `Mcp-Name`, and the member of `params` that it repeats. */
export const NAME_KEYS: Readonly<Record<string, 'name' | 'uri' | 'taskId'>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};
