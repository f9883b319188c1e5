// `npm run fleet`: a fleet on this machine, until Ctrl-C. Options: --balancer haproxy|nginx, --replicas 3.
import { parseArgs } from 'node:util';
import { Fleet } from './fleet.mjs';
import { Refusal } from './programs.mjs';
import { readState, removeState, stateFile, writeState } from './state-file.mjs';

const usage = 'usage: npm run fleet -- [--balancer haproxy|nginx] [--replicas 1 to 16]';

function options() {
  try {
    const { values } = parseArgs({
      options: {
        balancer: { type: 'string', default: 'haproxy' },
        replicas: { type: 'string', default: '3' },
      },
    });
    const replicas = Number(values.replicas);
    if (!['haproxy', 'nginx'].includes(values.balancer) || !Number.isInteger(replicas)) throw new Error();
    if (replicas < 1 || replicas > 16) throw new Error();
    return { balancer: values.balancer, replicas };
  } catch {
    throw new Refusal(usage);
  }
}

async function main() {
  const { balancer, replicas } = options();
  const running = readState();
  if (running)
    throw new Refusal(`a fleet runs already, at ${running.url}: stop process ${running.pid} first`);
  let isUp = false;
  const fleet = new Fleet({
    changed(line) {
      console.log(line);
      if (isUp) writeState(fleet);
    },
  });
  const stopped = new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, resolve);
  });
  let failed;
  try {
    const started = fleet.start({ balancer, replicas });
    await Promise.race([started, stopped]);
    if (fleet.url !== undefined) {
      isUp = true;
      writeState(fleet);
      console.log(`\n${fleet.url}\n`);
      for (const { name, origin, pid } of fleet.replicas) console.log(`  ${name}  ${origin}  process ${pid}`);
      console.log(`  store     ${fleet.storeUrl}\n  logs are not kept; state: ${stateFile()}`);
      console.log(
        '\nTraffic through restarts: npm run fleet:traffic (in another terminal). Ctrl-C ends everything.',
      );
    }
    await stopped;
    console.log('\nstopping ...');
  } catch (error) {
    failed = error;
  }
  await fleet.stop();
  if (isUp) removeState();
  if (failed) throw failed;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Refusal ? `fleet: ${error.message}` : error);
  process.exitCode = 1;
}
