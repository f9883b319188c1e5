/** Records the traffic of every test with a gateway; it is validated against schemas at the end of the run. */
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { beforeEach, expect } from 'vitest';
import { labelRecords, startRecording } from './wire-recorder.mjs';

// Programs that tests start are in the cache of the user (store.ts).
process.env['MCPSTEAD_TESTS_CACHE'] ??= join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'mcpstead-tests',
);
// No cache: a test must not see the lists that another one left.
process.env['XDG_CACHE_HOME'] = '/dev/null';

const folder = process.env['WIRE_RECORD'];
const path = expect.getState().testPath ?? '';
// Subfolders have tests of single parts, which may send anything.
if (folder !== undefined && /\/integration\/[^/]+$/.test(path)) {
  startRecording(folder);
  labelRecords(basename(path));
  beforeEach(({ task }) => {
    labelRecords(`${basename(path)} > ${task.name}`);
  });
}
