/** Records the traffic of every test with a gateway, for the schemas that it is held against at the end of the run. */
import { basename } from 'node:path';
import { beforeEach, expect } from 'vitest';
import { labelRecords, startRecording } from './wire-recorder.mjs';

// Nothing is kept from one test for another: no folder is there.
process.env['XDG_CACHE_HOME'] = '/dev/null';

const folder = process.env['WIRE_RECORD'];
const path = expect.getState().testPath ?? '';
// Deeper down are tests of parts of it, which send anything.
if (folder !== undefined && /\/integration\/[^/]+$/.test(path)) {
  startRecording(folder);
  labelRecords(basename(path));
  beforeEach(({ task }) => {
    labelRecords(`${basename(path)} > ${task.name}`);
  });
}
