import type { Named } from '../src/cli/table.ts';

export function render(verbs: readonly Named[], usageOf: (verb: Named) => string): Promise<string>;
