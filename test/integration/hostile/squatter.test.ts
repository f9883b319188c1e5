import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { createConsoleKey } from '../../../src/lib/console-key.js';
import { atEnd } from '../../helpers/cleanup.js';
import { emptyHome } from '../../helpers/home.js';
import { chmod } from 'node:fs/promises';

it('gives the console key to no program that listens at the port of a gateway that does not run', async () => {
  const shown: (string | undefined)[] = [];
  const squatter = createServer((request, response) => {
    shown.push(request.headers.authorization);
    response.writeHead(401).end();
  });
  await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
  atEnd(() => squatter.close());
  const home = await emptyHome();
  const { port } = squatter.address() as AddressInfo;
  await home.write('.config/mcpstead/config.yaml', `host: 127.0.0.1\nport: ${port}\nservers: []\n`);
  await chmod(await home.write('.local/state/mcpstead/console.key', `${createConsoleKey()}\n`), 0o600);
  const { status } = await home.run(['servers']);
  expect(status).toBe(5);
  expect(shown).toEqual([undefined]);
});
