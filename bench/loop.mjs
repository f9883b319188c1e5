// Preloaded into a gateway by hostile.mjs: on SIGUSR2 a file gets the longest turn of its event loop since the last time.
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
process.on('SIGUSR2', () => {
  writeFileSync(process.env.BENCH_LOOP, String(delay.max / 1e6));
  delay.reset();
});
