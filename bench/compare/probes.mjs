// The behaviours, each tried by the same code at every gateway. A probe gives {verdict, seen}: 'yes', 'partly', 'no', or
// 'none' for what a gateway does not have.
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, withGateway } from './gateways.mjs';
import { edgeProbes } from './probes-edge.mjs';
import { allTools, call, connect, serverFor, toolOf } from './parts.mjs';

const yes = (seen) => ({ verdict: 'yes', seen });
const partly = (seen) => ({ verdict: 'partly', seen });
const no = (seen) => ({ verdict: 'no', seen });
const none = (seen) => ({ verdict: 'none', seen });
const short = (error) =>
  String(error?.message ?? error)
    .replaceAll(/\s+/g, ' ')
    .slice(0, 140);
const WAIT = { timeout: 10_000 };

/** One server, one gateway, one client with its tools. */
async function single(peer, options, use, more = {}) {
  const server = await serverFor(peer, 'one', options);
  try {
    return await withGateway(peer, [server.entry], async (gateway) => {
      const client = await connect(gateway, more);
      try {
        return await use({ gateway, client, server, names: await allTools(client) });
      } finally {
        await client.close().catch(() => {});
      }
    });
  } finally {
    await server.stop();
  }
}

const restarted = (kind, title) => ({
  title,
  async run(peer) {
    if (!peer.serves.includes(kind))
      return none(`it has no servers over ${kind === 'http' ? 'HTTP' : 'stdio'}`);
    return single({ ...peer, serves: [kind] }, {}, async ({ client, server, names }) => {
      const echo = toolOf(names, 'echo_one');
      await call(client, echo, { tag: 'a' }, WAIT);
      await server.restart();
      await sleep(1000);
      let failed = 0;
      let last;
      const worked = await eventually(12_000, async () => {
        try {
          return await call(client, echo, { tag: 'b' }, WAIT);
        } catch (error) {
          failed += 1;
          last = error;
          await sleep(500);
          return false;
        }
      });
      if (worked === undefined) return no(`no call worked within 12 s: ${short(last)}`);
      if (failed === 0) return yes('the first call was answered');
      return partly(`${failed} call${failed > 1 ? 's' : ''} failed first: ${short(last)}`);
    });
  },
});

async function beside(peer, other, what) {
  if (!peer.many) return none('it has one server');
  const good = await serverFor(peer, 'good', {});
  const bad = await other();
  try {
    return await withGateway(
      peer,
      [good.entry, bad.entry],
      async (gateway) => {
        const client = await connect(gateway);
        try {
          const names = await allTools(client);
          const text = await call(client, toolOf(names, 'echo_good'), { tag: 'x' }, WAIT);
          return text.includes('good') ? yes(`${names.length} tools are listed, a call works`) : no(text);
        } finally {
          await client.close().catch(() => {});
        }
      },
      { limitMs: 40_000 },
    );
  } catch (error) {
    return no(`${what}: ${short(error)}`);
  } finally {
    await good.stop();
    await bad.stop();
  }
}

const oneListFails = {
  title: 'The list of one server fails: the tools of the others are there',
  run: (peer) => beside(peer, () => serverFor(peer, 'bad', { failList: true }), 'with a list that fails'),
};

const oneIsDown = {
  title: 'One server is down at the start: the tools of the others are there',
  run: (peer) =>
    beside(
      peer,
      async () => {
        const bad = await serverFor(peer, 'bad', {});
        await bad.stop();
        return { ...bad, stop: () => {} };
      },
      'with a server that is down',
    ),
};

const pages = {
  title: '150 tools in pages of 50: the client sees 150',
  run: (peer) =>
    single(peer, { tools: 150, page: 50 }, async ({ names }) => {
      const own = names.filter((name) => /(tool|echo|steps|hang|ask)[_-]one/.test(name)).length;
      if (own === 150) return yes('150');
      return own > 0 ? no(`${own} of 150`) : no('none');
    }),
};

const progress = {
  title: 'Progress of a call reaches its client',
  run: (peer) =>
    single(peer, {}, async ({ client, names }) => {
      const seen = [];
      const onprogress = ({ progress: step }) => seen.push(step);
      await call(client, toolOf(names, 'steps_one'), {}, { ...WAIT, onprogress });
      await sleep(300);
      const count = `${seen.length} of 3 notifications`;
      return seen.length === 3 ? yes(count) : seen.length > 0 ? partly(count) : no(count);
    }),
};

const cancel = {
  title: 'A cancelled call is cancelled at the server',
  run: (peer) =>
    single(peer, {}, async ({ client, server, names }) => {
      const stop = new AbortController();
      const answer = call(client, toolOf(names, 'hang_one'), { tag: 'c' }, { signal: stop.signal });
      answer.catch(() => {});
      const at = async (event) => server.events().some((one) => one.event === event);
      if (!(await eventually(8000, () => at('called')))) return no('the call did not reach the server');
      stop.abort('no longer needed');
      return (await eventually(6000, () => at('cancelled')))
        ? yes('the server was told')
        : no('the server was not told within 6 s');
    }),
};

const questions = {
  title: 'Questions to two clients at once (elicitation): each is asked its own',
  run: (peer) =>
    single(
      peer,
      {},
      async ({ gateway, names }) => {
        const asked = { a: [], b: [] };
        const clientOf = (tag) =>
          connect(gateway, { answer: (message) => (asked[tag].push(message), `by ${tag}`) });
        const clients = await Promise.all([clientOf('a'), clientOf('b')]);
        const ask = toolOf(names, 'ask_one');
        const tags = ['a', 'b'];
        const answers = await Promise.allSettled(
          clients.map((client, nth) => call(client, ask, { tag: tags[nth] }, { timeout: 15_000 })),
        );
        await Promise.all(clients.map((client) => client.close().catch(() => {})));
        const wrong = tags.filter((tag) => asked[tag].some((message) => !message.endsWith(`for ${tag}`)));
        const right = tags.filter((tag, nth) => answers[nth].value === `${tag}=by ${tag}`);
        if (wrong.length > 0) return no('a client was asked the question of the other');
        if (right.length === 2) return yes('both answered their own question');
        const reason = answers.find(({ status }) => status === 'rejected')?.reason;
        const said = reason ? short(reason) : answers.map(({ value }) => value).join(', ');
        return right.length === 1 ? partly(`one of two: ${said}`) : no(`no client was asked: ${said}`);
      },
      { answer: () => 'by the first' },
    ),
};

const reload = {
  title: 'A server is added to the config under load: no call is lost, and its tools appear',
  async run(peer) {
    if (!peer.many) return none('it has one server');
    if (!peer.reload) return none('no reload');
    const [one, two] = [await serverFor(peer, 'one', {}), await serverFor(peer, 'two', {})];
    try {
      return await withGateway(peer, [one.entry], (gateway) => underLoad(peer, gateway, one, two));
    } finally {
      await one.stop();
      await two.stop();
    }
  },
};

async function underLoad(peer, gateway, one, two) {
  const client = await connect(gateway);
  const echo = toolOf(await allTools(client), 'echo_one');
  let isOver = false;
  const [lost, done] = [[], []];
  const worker = async () => {
    while (!isOver)
      await call(client, echo, { tag: 'x' }, { timeout: 5000 }).then(
        () => done.push(1),
        async (error) => {
          lost.push(error);
          await sleep(20);
        },
      );
  };
  const workers = Array.from({ length: 4 }, worker);
  await sleep(1000);
  await peer.reload.run(gateway, [one.entry, two.entry]);
  // A new session, so that what a client has kept of its list does not count.
  const appeared = await eventually(15_000, async () => {
    const fresh = await connect(gateway);
    const names = await allTools(fresh).finally(() => fresh.close().catch(() => {}));
    return names.some((name) => name.includes('echo_two') || name.includes('echo-two'));
  });
  await sleep(1000);
  isOver = true;
  await Promise.all(workers);
  await client.close().catch(() => {});
  const calls = `${lost.length} of ${lost.length + done.length} calls lost`;
  const said = lost.length > 0 ? `${calls}: ${short(lost[0])}` : calls;
  if (!appeared) return no(`the new tools did not appear within 15 s; ${said}`);
  return lost.length === 0 ? yes(`by ${peer.reload.how}: no call lost`) : partly(said);
}

export const probes = [
  restarted('http', 'A server over HTTP restarts under a session: the next call works'),
  restarted('stdio', 'A server over stdio ends under a session: the next call works'),
  oneListFails,
  oneIsDown,
  pages,
  progress,
  cancel,
  questions,
  reload,
  ...edgeProbes,
];

/** A probe ends even if a gateway does not answer. */
const LIMIT_MS = 90_000;
export async function runProbe(probe, peer) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('not over within 90 s')), LIMIT_MS);
  });
  const running = probe.run(peer);
  running.catch(() => {});
  try {
    return await Promise.race([running, late]);
  } catch (error) {
    return { verdict: 'untried', seen: `could not be tried: ${short(error)}` };
  } finally {
    clearTimeout(timer);
  }
}
