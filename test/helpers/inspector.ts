import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const exec = promisify(execFile);
export const INSPECTOR = '2.12.0';

interface Installed {
  /** The Node that it needs. */
  readonly node: string;
  readonly main: string;
}

let whereabouts: Promise<Installed> | undefined;

/** The inspector needs a newer Node than the gateway: npx brings one along. Asked once, where both are: it is slow. */
export function installInspector(): Promise<Installed> {
  return (whereabouts ??= install());
}

async function install(): Promise<Installed> {
  const packages = ['-y', '-p', 'node@22', '-p', `@modelcontextprotocol/inspector@${INSPECTOR}`];
  const { stdout } = await exec('npx', [...packages, '-c', 'command -v node; command -v mcp-inspector']);
  const [node = '', main = ''] = stdout.trim().split('\n');
  return { node, main };
}
