import type { Family } from '../src/observe/families.js';

export function render(families: readonly Family[]): Promise<string>;
