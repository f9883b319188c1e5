// Loaded into a gateway by the soak: on SIGUSR2 it collects garbage and writes down what the process holds.
import { renameSync, writeFileSync } from 'node:fs';
import process from 'node:process';

process
  .on('SIGUSR2', () => {
    globalThis.gc?.();
    setTimeout(() => {
      globalThis.gc?.();
      const resources = {};
      for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
      const { heapUsed, external } = process.memoryUsage();
      const file = `${process.env.SOAK_PROBE}.${process.pid}`;
      writeFileSync(`${file}.part`, JSON.stringify({ heapUsed, external, resources }));
      renameSync(`${file}.part`, file);
    }, 200).unref();
  })
  .unref?.();
