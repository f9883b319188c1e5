// What a console that watches adds to a call: `npm run bench -- --only watched`.
import { httpCases } from './cases.mjs';
import { interleave } from './measure.mjs';
import { ratio, say, show, showRatio, table } from './report.mjs';
import { http, mcpstead, run, TOKEN } from './targets.mjs';

/** Most that a watcher may add, as a ratio. */
const MOST = 1.02;
const TOPICS = 'status,servers,calls,sessions,logs,series';

/** Reads the events until it is stopped, as the page does. */
async function watch(gateway) {
  const over = new AbortController();
  const answer = await fetch(`${gateway.base}/-/api/v1/events?topics=${TOPICS}`, {
    headers: { authorization: `Bearer ${TOKEN}` },
    signal: over.signal,
  });
  if (!answer.ok) throw new Error(`the events answer HTTP ${answer.status}: ${await answer.text()}`);
  const reading = (async () => {
    let events = 0;
    for await (const chunk of answer.body) if (chunk.length > 0) events++;
    return events;
  })();
  // Aborting rejects it.
  reading.catch(() => {});
  return () => over.abort();
}

async function watched(options) {
  const one = httpCases.find(({ name }) => name === '0.2 KB');
  const names = ['nobody watches', 'a console watches'];
  const subjects = [];
  let leave;
  try {
    for (const name of names)
      subjects.push({ name, gateway: await run(mcpstead, http(`${options.upstream}/mcp`)), one });
    leave = await watch(subjects[1].gateway);
    const figures = await interleave(subjects, options);
    const { cpu: plain } = figures[names[0]];
    say(`## Watched: CPU per call, in microseconds; a console may make it ${MOST} times as much`);
    say();
    table(
      ['0.2 KB', 'mcpstead', 'to the first'],
      names.map((name) => [name, show(figures[name].cpu), showRatio(ratio(figures[name].cpu, plain))]),
    );
  } finally {
    leave?.();
    for (const { gateway } of subjects) await gateway.stop();
  }
}

export const watchedCosts = { title: 'watched', run: watched };
