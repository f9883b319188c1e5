import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { silent } from '../../../src/observe/log.js';
import { openFolder } from '../../../src/state/folder.js';
import { importFolder } from '../../../src/state/import.js';
import { memoryState } from '../../../src/state/memory.js';
import { fixedKeys } from '../../../src/state/state-key.js';
import { scratchFolder } from '../../helpers/state.js';

describe('the import of a folder', () => {
  it('leaves calls behind that wait for a yes, and their votes: the store would keep them for good', async () => {
    const dir = join(scratchFolder(), 'state');
    const keys = fixedKeys({ current: randomBytes(32), older: [] });
    const from = await openFolder({ dir, keys, log: silent });
    await from.put('approval:x', { id: 'x' }, 0, { ttlMs: 60_000 });
    await from.put('approval-repeat:x', { left: 100 }, 0, { ttlMs: 60_000 });
    await from.put('pin:x', { n: 1 }, 0);
    await from.close();
    const to = memoryState();
    await importFolder({ dir, keys, to, log: silent });
    expect((await to.get('pin:x'))?.value).toEqual({ n: 1 });
    expect(await to.get('approval:x')).toBeUndefined();
    expect(await to.get('approval-repeat:x')).toBeUndefined();
  });
});
