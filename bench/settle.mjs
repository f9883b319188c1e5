// Preloaded into a gateway (targets.mjs): SIGUSR2 collects its garbage, and a file says so.
import { writeFileSync } from 'node:fs';

process.on('SIGUSR2', () => {
  for (let i = 0; i < 3; i++) globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  writeFileSync(process.env.BENCH_SETTLED, 'settled');
});
