/** Servers with `disabled: true`. What is wrong with them is reported once they are enabled. */
import type { Entry } from './client-files.js';
import { redactUrl } from './redact.js';
import type { DisabledServer } from './types.js';

/** `taken`: the names of the servers that run, which are told apart by their names. */
export function disabledServers(entries: readonly Entry[], taken: ReadonlySet<string>): DisabledServer[] {
  const found = new Map<string, DisabledServer>();
  for (const { raw } of entries) {
    const { name, command, url, required } = raw;
    if (typeof name !== 'string' || name === '' || taken.has(name) || found.has(name)) continue;
    const kind = command === undefined && url !== undefined ? 'http' : 'stdio';
    const target = kind === 'http' ? redactUrl(textOf(url)) : programOf(command);
    found.set(name, { name, kind, target, required: required === true });
  }
  return [...found.values()];
}

/** Some clients write the whole command line, or a list. Arguments may contain secrets. */
function programOf(command: unknown): string {
  if (Array.isArray(command)) return programOf(command[0]);
  return textOf(command).trim().split(/\s/, 1)[0] as string;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
