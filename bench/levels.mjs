// Several gateways in one process, for differences that are smaller than those between two processes. LEVELS: JSON of their settings. Prints
// their URLs as JSON once they serve their servers.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGateway } from '../dist/index.js';

const urls = [];
for (const settings of JSON.parse(process.env.LEVELS)) {
  const gateway = createGateway({ host: '127.0.0.1', port: 0, ...settings });
  const { url } = await gateway.listen();
  while (gateway.health().status !== 'ok') await sleep(20);
  urls.push(url);
}
console.log(JSON.stringify(urls));
