// One client with one server: twice directly, then through the gateway in every way, with reload and restart.
import { setTimeout as sleep } from 'node:timers/promises';
import { compare, masksOf } from './compare.mjs';
import { runScript, runStep, stepsFor } from './script.mjs';

/** On /mcp and over `mcpstead stdio` the gateway is the server, with its own name and capabilities. */
const OF_THE_GATEWAY = ['/ok/serverInfo', '/ok/capabilities', '/ok/instructions'];
const isOwn = (step, path) =>
  step === 'connect' && OF_THE_GATEWAY.some((one) => path === one || path.startsWith(`${one}/`));
const META = '/_meta/io.modelcontextprotocol~serverInfo'.replace('~', '/');
const isServerInfo = (path) => path.includes(META);

/** A call that may happen while something is down: retries it, as a user would. */
async function callAgain(driver, name, step, merged) {
  let outcome;
  for (let tries = 0; tries < 10; tries++) {
    if (tries > 0) await sleep(500);
    outcome = await runStep(driver, { ...step, name }, merged);
    if (outcome.ok !== undefined) break;
  }
  return outcome;
}

/**
 * Runs a pair. `at` is {server, gateway, plan, witness}; `newDriver` starts the client's driver. Gives
 * {differences: [{through, step, path, straight, through}], figures}.
 */
export async function runPair(at, newDriver, era, { stdio = false } = {}) {
  const { server, gateway, plan } = at;
  let driver = newDriver();
  /** A driver that broke off is replaced, so that what comes next has one. */
  const fresh = async () => {
    if (driver.broken) driver = newDriver();
    else await driver.ask({ do: 'close' });
    if (driver.broken) driver = newDriver();
  };
  const found = [];
  try {
    const first = await runScript(driver, server.target, era, { plan });
    const connected = first.outcomes.get('connect');
    if (connected.unsupported !== undefined) return { unsupported: connected.unsupported };
    const probe = stepsFor(plan, first.lists).first;
    const step = probe && { ...probe, do: 'call', tool: probe.name };
    await fresh();
    const straight = await runScript(driver, server.target, era, { plan, steps: first.steps });
    const masks = masksOf(first.outcomes, straight.outcomes);
    if (step) {
      await server.restart([driver.pid]);
      straight.outcomes.set('call after restart', await callAgain(driver, 'call after restart', step));
    }
    await fresh();

    await gateway.settled();
    const own = await runScript(driver, gateway.own, era, { plan, steps: first.steps });
    if (step) {
      for (const [name, change] of [
        ['call after reload', () => gateway.reload(false)],
        ['call after changed reload', () => gateway.reload(true)],
        ['call after restart', () => server.restart([gateway.pid])],
      ]) {
        await change();
        own.outcomes.set(name, await callAgain(driver, name, step));
        if (name !== 'call after restart')
          straight.outcomes.set(name, straight.outcomes.get(`call ${step.tool}`));
      }
    }
    await fresh();
    const judge = (through, outcomes, ignore) =>
      found.push(
        ...compare(straight.outcomes, outcomes, masks, { ignore }).map((one) => ({ way: through, ...one })),
      );
    judge('own', own.outcomes);

    await gateway.settled();
    const merged = await runScript(driver, gateway.merged, era, { plan, steps: first.steps, merged: true });
    await fresh();
    const later = (name) => name.startsWith('call after re') || name === 'call after changed reload';
    const ofGateway = (name, path) => later(name) || isOwn(name, path) || isServerInfo(path);
    judge('merged', merged.outcomes, ofGateway);

    if (stdio) {
      const through = await runScript(driver, gateway.stdio, era, { plan, steps: first.steps, merged: true });
      await fresh();
      judge('stdio', through.outcomes, ofGateway);
    }
    const seen = [...first.outcomes.values()];
    return {
      differences: found,
      version: connected.ok?.protocolVersion ?? null,
      failed: connected.ok === undefined ? (connected.error?.message ?? connected.silent) : undefined,
      tools: first.lists.tools?.length ?? 0,
      steps: first.steps?.length ?? 0,
      questions: own.outcomes ? countOf(own.outcomes, 'question') : 0,
      straightQuestions: seen.reduce((sum, { question = [] }) => sum + question.length, 0),
    };
  } finally {
    await driver.stop();
  }
}

const countOf = (outcomes, event) =>
  [...outcomes.values()].reduce((sum, one) => sum + (one[event]?.length ?? 0), 0);
