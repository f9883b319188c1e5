/** The envelope that every modern request has in `_meta` (2026-07-28, basic, "_meta"). */
import type { Message } from '../message.js';
import { methodOf } from '../methods.js';
import { param } from '../message.js';
import { LOG_LEVELS, type LogLevel } from '../ports.js';
import { objectOf, present, readJson, type JsonObject } from '../../wire/json.js';

const PREFIX = 'io.modelcontextprotocol/';
export const META = {
  protocolVersion: `${PREFIX}protocolVersion`,
  clientInfo: `${PREFIX}clientInfo`,
  clientCapabilities: `${PREFIX}clientCapabilities`,
  logLevel: `${PREFIX}logLevel`,
  subscriptionId: `${PREFIX}subscriptionId`,
  serverInfo: `${PREFIX}serverInfo`,
} as const;

/** Members that only a modern request has. */
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

/** Largest capabilities and clientInfo, in bytes: icons may be data: URIs. */
export const MAX_CAPABILITIES = 16_384;
export const MAX_CLIENT_INFO = 65_536;

/** Parsed capabilities by their JSON: clients repeat them with every request, and results are cached by the object. */
const known = new Map<string, JsonObject | undefined>();
const MAX_KNOWN = 64;
const MAX_TEXT = 2048;

function declared(text: string): JsonObject | undefined {
  let capabilities = known.get(text);
  if (capabilities !== undefined) return capabilities;
  const read = objectOf(JSON.parse(text));
  capabilities = read && (text.includes('null') ? present(read) : read);
  if (text.length > MAX_TEXT) return capabilities;
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(text, capabilities);
  return capabilities;
}

/** Reads the envelope, or returns what is wrong with it. */
export function readEnvelope(message: Message): Envelope | string {
  let version: unknown;
  let capabilities: JsonObject | undefined;
  let clientInfo: string | undefined;
  let level: unknown;
  for (const { key, start, end } of message.meta) {
    switch (key) {
      case META.protocolVersion:
        version = readJson(message.body.subarray(start, end));
        break;
      case META.clientCapabilities:
        if (end - start > MAX_CAPABILITIES) return tooLarge(key, end - start, MAX_CAPABILITIES);
        capabilities = declared(message.body.toString('utf8', start, end));
        break;
      case META.clientInfo:
        if (end - start > MAX_CLIENT_INFO) return tooLarge(key, end - start, MAX_CLIENT_INFO);
        clientInfo = message.body.toString('utf8', start, end);
        break;
      case META.logLevel:
        level = readJson(message.body.subarray(start, end)) ?? undefined;
        break;
      default:
    }
  }
  if (typeof version !== 'string') return `params._meta["${META.protocolVersion}"] must be a string`;
  if (!capabilities) return `params._meta["${META.clientCapabilities}"] must be an object`;
  if (level !== undefined && !LOG_LEVELS.includes(level as LogLevel))
    return `params._meta["${META.logLevel}"] must be one of ${LOG_LEVELS.join(', ')}`;
  return {
    version,
    capabilities,
    clientInfo,
    level: level as LogLevel | undefined,
  };
}

function tooLarge(key: string, bytes: number, max: number): string {
  return `params._meta["${key}"] has ${bytes} bytes: at most ${max} are taken`;
}

/** The value of the header `Mcp-Name`; undefined: the method has none, or the member is missing or not a string. */
export function nameOf(message: Message): string | undefined {
  const key = methodOf(message.method)?.name;
  const value = key === undefined ? undefined : param(message, key);
  return typeof value === 'string' ? value : undefined;
}
