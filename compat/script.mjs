// The script that every client runs with every server: a list of steps, made from what the server lists, and what came of
// each.
import { setTimeout as sleep } from 'node:timers/promises';

/** Calls of the tools that the servers of compat/servers have; others have theirs in the table. */
const CALLS = [
  { name: 'echo', arguments: { text: 'hello ✓' } },
  { name: 'structured', arguments: {} },
  { name: 'image', arguments: {} },
  { name: 'fail', arguments: {} },
  { name: 'progress', arguments: { steps: 4 }, progress: true },
  { name: 'log', arguments: {} },
  { name: 'ask', arguments: {} },
  { name: 'sample', arguments: {} },
  { name: 'roots', arguments: {} },
];
const CANCEL = { name: 'wait', arguments: { ms: 8000 }, cancelAfterMs: 300 };
const PREFIX = 's__';
/** How long notifications that come with an answer may take. */
const SETTLE_MS = { call: 40, other: 10 };
const UPDATE_MS = 200;

const calling = (name, call) => ({ ...call, name, do: 'call', tool: call.name });

/** The steps for a server, from its lists as a straight client sees them. */
export function stepsFor(plan, { tools = [], resources = [], templates = [], prompts = [] }) {
  const names = new Set(tools.map(({ name }) => name));
  const has = ({ name }) => names.has(name);
  const calls = (plan.calls ?? CALLS).filter(has);
  const cancel = plan.cancel ?? CANCEL;
  const first = calls[0];
  const isAgain = (call, index) => calls.findIndex(({ name }) => name === call.name) < index;
  const steps = calls.map((call, index) =>
    calling(`call ${call.name}${isAgain(call, index) ? ` (${index})` : ''}`, call),
  );
  if (first) {
    steps.push(calling('call of no tool', { name: 'no-such-tool', arguments: {} }));
    steps.push(calling('call without arguments', { name: first.name, arguments: {} }));
  }
  for (const { uri } of resources.slice(0, 3)) steps.push({ name: `read ${uri}`, do: 'read', uri });
  if (resources.length > 0)
    steps.push({ name: 'read of nothing', do: 'read', uri: 'compat://no-such-thing' });
  for (const uri of plan.items ?? ['compat://item/7'])
    if (templates.length > 0) steps.push({ name: `read ${uri}`, do: 'read', uri });
  for (const { name, arguments: wanted = [] } of prompts.slice(0, 3)) {
    const args = Object.fromEntries((wanted ?? []).map((one) => [one.name, 'anna']));
    steps.push({ name: `prompt ${name}`, do: 'prompt', prompt: name, arguments: args });
    const [argument] = wanted ?? [];
    const complete = { do: 'complete', prompt: name, argument: { name: argument?.name, value: 'b' } };
    if (argument) steps.push({ name: `complete ${name}`, ...complete });
  }
  steps.push({ name: 'level', do: 'level', level: 'debug' });
  const touch =
    plan.touch ?? (names.has('touch') && { name: 'touch', arguments: {}, uri: 'compat://counter' });
  if (touch) {
    // Not every client waits until its subscription is acknowledged.
    steps.push({ name: 'subscribe', do: 'subscribe', uri: touch.uri, settleMs: UPDATE_MS });
    steps.push({ ...calling('update', touch), settleMs: UPDATE_MS });
    steps.push({ name: 'unsubscribe', do: 'unsubscribe', uri: touch.uri });
    steps.push({ ...calling('update after unsubscribe', touch), settleMs: UPDATE_MS });
  }
  steps.push({ name: 'ping', do: 'ping' });
  if (names.has(cancel.name)) steps.push(calling('cancel', cancel));
  if (first) steps.push(calling('call after cancel', first));
  return { steps: steps.filter(({ name }) => !(name in (plan.skip ?? {}))), first };
}

/** Through /mcp names have the server's prefix; it is put on here and taken off what comes back. */
function requestOf(step, merged) {
  const prefix = merged ? PREFIX : '';
  const { name: _, tool, prompt, settleMs: _ms, ...request } = step;
  if (tool !== undefined) request.name = prefix + tool;
  if (prompt !== undefined && step.do === 'complete')
    request.ref = { type: 'ref/prompt', name: prefix + prompt };
  else if (prompt !== undefined) request.name = prefix + prompt;
  return request;
}

function withoutPrefix(value) {
  if (typeof value === 'string') return value.replaceAll(PREFIX, '').replace(/^\[s\] /, '');
  if (Array.isArray(value)) return value.map(withoutPrefix);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutPrefix(one)]));
}

/** One step: {ok | error | unsupported | silent, progress, log, question, updated}. */
export async function runStep(driver, step, merged = false) {
  const from = driver.events.length;
  const { id: _, ...answer } = await driver.ask(requestOf(step, merged));
  if (answer.unsupported === undefined) await sleep(step.settleMs ?? SETTLE_MS[step.do] ?? SETTLE_MS.other);
  const outcome = merged ? withoutPrefix(answer) : answer;
  // That lists may have changed is told at any time, and read by the next run of the lists.
  for (const { event, value } of driver.events.slice(from))
    if (event !== 'changed') (outcome[event] ??= []).push(merged ? withoutPrefix(value) : value);
  return outcome;
}

const LISTS = ['tools', 'resources', 'templates', 'prompts'];

export async function connect(driver, target, era) {
  return runStep(driver, { name: 'connect', do: 'connect', target, era });
}

/** What an HTTP server asks outside of a call's stream is refused while another client used it in the last 10 s. */
const REFUSED = 'set session: per-client';
const QUIET_MS = 10_500;

/** Connects, lists, runs the steps. Gives {outcomes: Map, lists}; leaves the connection open. */
export async function runScript(driver, target, era, { plan = {}, steps, merged = false }) {
  const outcomes = new Map();
  const connected = await connect(driver, target, era);
  outcomes.set('connect', connected);
  const lists = {};
  if (connected.ok === undefined) return { outcomes, lists };
  for (const list of LISTS) {
    const outcome = await runStep(driver, { name: list, do: list }, merged);
    outcomes.set(list, outcome);
    lists[list] = Array.isArray(outcome.ok) ? outcome.ok : [];
  }
  const wanted = steps ?? stepsFor(plan, lists).steps;
  for (const step of wanted) {
    let outcome = await runStep(driver, step, merged);
    if (JSON.stringify(outcome.ok ?? outcome.error ?? '').includes(REFUSED)) {
      await sleep(QUIET_MS);
      outcome = await runStep(driver, step, merged);
    }
    outcomes.set(step.name, outcome);
  }
  return { outcomes, lists, steps: wanted };
}
