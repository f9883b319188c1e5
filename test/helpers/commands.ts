import { PassThrough, Readable } from 'node:stream';
import { run } from '../../src/cli/commands.js';

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process. */
export async function command(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  stdin = '',
): Promise<Ran> {
  let [out, err] = ['', ''];
  const status = await run(args, {
    env,
    out: (text) => (out += text),
    err: (text) => (err += text),
    stdin: Readable.from([stdin]),
    stdout: new PassThrough(),
    tty: { in: false, out: false, err: false },
    exit: () => undefined,
  });
  return { status, out, err };
}
