// The method: after a warm-up every round measures each subject once, one after the other, and ratios are taken
// within a round, because the machine itself changes between rounds.
import { load, verify } from './load.mjs';
import { progress } from './report.mjs';

/** What some seconds of one case cost a gateway: CPU in microseconds per call, times in ms, memory in MB. */
async function measure(gateway, one, seconds) {
  gateway.resetPeak();
  const before = gateway.cpu();
  const { calls, rate, p50, p99 } = await load(gateway.url, one, seconds);
  return { cpu: ((gateway.cpu() - before) / calls) * 1e6, rate, p50, p99, peak: gateway.peak() };
}

/**
 * `subjects`: `{ name, gateway, one }`. Gives by name and figure (cpu, rate, p50, p99, peak) its values of all
 * rounds, or nothing for a subject that `optional` lets fail.
 */
export async function interleave(subjects, { rounds, seconds, warm }) {
  const figures = {};
  const running = [];
  for (const subject of subjects) {
    const { name, gateway, one, optional } = subject;
    try {
      await verify(gateway.url, one);
      await load(gateway.url, one, warm);
      figures[name] = { cpu: [], rate: [], p50: [], p99: [], peak: [] };
      running.push(subject);
    } catch (error) {
      if (!optional) throw error;
      progress(`${name} is left out: ${error.message.slice(0, 200)}`);
    }
  }
  for (let round = 0; round < rounds; round++)
    for (const { name, gateway, one } of running)
      for (const [figure, value] of Object.entries(await measure(gateway, one, seconds)))
        figures[name][figure].push(value);
  return figures;
}
