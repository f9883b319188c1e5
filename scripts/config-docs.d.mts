import type * as schema from '../src/config/schema.js';

export function render(
  parts: Pick<typeof schema, 'fileSchema' | 'serverSchema' | 'keysOf' | 'unwrap'>,
): Promise<string>;
