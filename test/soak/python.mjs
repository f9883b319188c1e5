// Clients on the Python SDK, in one process, which tells of each call on a line.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Broken } from './ledger.mjs';

const PROGRAM = fileURLToPath(new URL('clients.py', import.meta.url));

export class PythonClients {
  #child;
  #isReady;
  #ended;
  #errors = '';

  constructor(options) {
    Object.assign(this, options);
  }

  /** Resolves once all are connected. */
  async start() {
    const { world, count, round, seed, pauseMs } = this;
    if (count === 0) return;
    const { url, keys } = world;
    const asked = { url, count, round, seed, pause: pauseMs / 1000, keys, ca: world.certificates?.caFile };
    world.keyChanged = () => this.#say(JSON.stringify(keys));
    this.#child = spawn(world.python, [PROGRAM], { env: { ...process.env, SOAK: JSON.stringify(asked) } });
    this.#child.stderr
      .setEncoding('utf8')
      .on('data', (text) => (this.#errors = (this.#errors + text).slice(-5000)));
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
    await new Promise((resolve, reject) => {
      this.#isReady = resolve;
      void this.#ended.then(() => reject(new Error(`the Python clients have ended:\n${this.#errors}`)));
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.#heard(JSON.parse(line)));
    });
  }

  run() {
    this.#say('run');
  }

  /** Resolves once each has its answer. */
  async rest() {
    if (!this.#child) return;
    await new Promise((resolve) => {
      this.#isReady = resolve;
      void this.#ended.then(resolve);
      this.#say('rest');
    });
  }

  async close() {
    if (!this.#child) return;
    this.#say('close');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000);
    await this.#ended;
    clearTimeout(timer);
  }

  #say(what) {
    if (this.#child?.exitCode === null) this.#child.stdin.write(`${what}\n`);
  }

  #heard({ ready, wrong, lost, ms, error, ...call }) {
    if (ready) return this.#isReady();
    const ended = performance.now();
    const told = { ...call, began: ended - ms, ended };
    if (wrong !== undefined)
      return this.ledger.broken(new Broken('no answer is wrong, or that of somebody else', wrong, told));
    this.ledger.over({ ...told, lost, error: error === undefined ? undefined : new Error(error) });
  }
}
