// Starts upstream.mjs on the core of the load.
import { fileURLToPath } from 'node:url';
import { LOAD_CORE, start, stop } from './processes.mjs';

const file = fileURLToPath(new URL('upstream.mjs', import.meta.url));

/** One process with that many servers: their addresses without a path. */
export async function startUpstreams(count = 1) {
  const options = { stdio: ['ignore', 'pipe', 'inherit'] };
  const child = start(LOAD_CORE, process.execPath, [file, String(count)], options);
  let text = '';
  await new Promise((resolve) =>
    child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk).endsWith('\n') && resolve()),
  );
  return { bases: JSON.parse(text).map((port) => `http://127.0.0.1:${port}`), stop: () => stop(child) };
}
