/** After all tests: validates the output of gateways against the zod schemas of the SDKs, which merge the revisions. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as core from '@modelcontextprotocol/core';
import { describe, judge, type Schemas } from './wire-judge.mjs';

interface ZodSchema {
  safeParse(value: unknown): {
    success: boolean;
    error?: { issues: readonly { path: readonly PropertyKey[]; message: string }[] };
  };
  readonly shape?: { readonly method?: { readonly value?: unknown } };
}

const ALL = resolve('.wire');
const FOLDER = join(ALL, String(process.pid));
const schemas = new Map(
  Object.entries(core).flatMap(([name, value]) =>
    name.endsWith('Schema') ? [[name.replace(/Schema$/, ''), value as unknown as ZodSchema] as const] : [],
  ),
);

export function zodSchemas(): Schemas {
  const names = new Map<string, string>();
  for (const [name, { shape }] of schemas) {
    const method = shape?.method?.value;
    if (typeof method === 'string') names.set(method, name);
  }
  return {
    names,
    validate(wanted, value) {
      const known = wanted.flatMap((name) => schemas.get(name) ?? []);
      const results = known.map((schema) => schema.safeParse(value));
      if (results.length === 0 || results.some(({ success }) => success)) return undefined;
      return results[0]?.error?.issues.map(({ path, message }) => `${String(path.at(-1) ?? '')} ${message}`);
    },
  };
}

/** The records of a run are in a folder named after its process; the last run's records stay for `npm run check:wire`. */
export function setup(): void {
  if (existsSync(ALL))
    for (const run of readdirSync(ALL))
      if (!isRunning(Number(run))) rmSync(join(ALL, run), { recursive: true });
  mkdirSync(FOLDER, { recursive: true });
  process.env['WIRE_RECORD'] = FOLDER;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function teardown(): void {
  const all = zodSchemas();
  const judgement = judge(FOLDER, () => all);
  if (judgement.judged === 0) return;
  console.log(describe(judgement));
  if (judgement.problems.length > 0) process.exitCode = 1;
}
