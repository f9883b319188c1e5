import type * as schema from '../src/config/schema.js';
import type * as tree from '../src/config/schema-tree.js';

export function render(
  parts: Pick<typeof schema, 'fileSchema' | 'serverSchema'> & Pick<typeof tree, 'keysOf' | 'unwrap'>,
): Promise<string>;
