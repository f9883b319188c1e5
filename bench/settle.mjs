// Preloaded into a gateway (targets.mjs): SIGUSR2 collects garbage, and a file confirms it.
import { writeFileSync } from 'node:fs';

process.on('SIGUSR2', () => {
  for (let i = 0; i < 3; i++) globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  writeFileSync(process.env.BENCH_SETTLED, 'settled');
});
