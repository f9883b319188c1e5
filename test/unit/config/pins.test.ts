import { expect, it } from 'vitest';
import { problems } from './helpers.js';

const TEXT = 'servers: [{ name: files, url: http://127.0.0.1:9/mcp, pin: enforce }]\n';

it('pin: enforce needs a folder for what is approved, or the store of a fleet', async () => {
  expect(await problems(TEXT)).toEqual([
    expect.stringContaining(
      "state.dir: pin: enforce of the server 'files' (config.yaml:1) needs a folder for what is approved",
    ),
  ]);
  expect(await problems(TEXT, { STATE_DIRECTORY: '/var/lib/x' })).toEqual([]);
  const key = { MCPSTEAD_STATE_KEY: Buffer.alloc(32, 7).toString('base64url') };
  expect(await problems(`${TEXT}fleet: { store: 'valkey://127.0.0.1' }\n`, key)).toEqual([]);
});
