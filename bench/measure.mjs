// The method: after a warm-up, every round measures each subject once, in turn, every other round in reverse. Ratios are computed within a
// round, because the speed of the machine changes between rounds.
import { load, verify } from './load.mjs';
import { progress } from './report.mjs';

/** The cost of some seconds of a case for a gateway: CPU in microseconds per call, times in ms, memory in MB. */
async function measure(gateway, one, seconds) {
  gateway.resetPeak();
  const before = gateway.cpu();
  const { calls, rate, p50, p99 } = await load(gateway.url, one, seconds);
  return { cpu: ((gateway.cpu() - before) / calls) * 1e6, rate, p50, p99, peak: gateway.peak() };
}

/**
 * `subjects`: `{ name, gateway, one }`. Returns, by name and figure (cpu, rate, p50, p99, peak), the values of all rounds; nothing
 * for a failed subject that is `optional`.
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
    for (const { name, gateway, one } of round % 2 === 0 ? running : running.toReversed())
      for (const [figure, value] of Object.entries(await measure(gateway, one, seconds)))
        figures[name][figure].push(value);
  return figures;
}
