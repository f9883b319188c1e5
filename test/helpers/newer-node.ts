/** A Node.js that has what the oldest supported one does not. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { hasReusePort } from '../../src/config/fleet.js';

const exec = promisify(execFile);
/** A safety net: npx asks the registry. */
const LOOKUP_MS = 60_000;

/**
 * The path of a Node.js that listens with `reusePort`: this one, or one that npx has or gets. undefined: there is none, and no network, or this is
 * not Linux.
 */
export async function nodeWithReusePort(): Promise<string | undefined> {
  if (hasReusePort(process.platform, process.versions.node)) return process.execPath;
  if (process.platform !== 'linux') return undefined;
  try {
    const asked = ['-y', '--prefer-offline', '--loglevel=error', '-p', 'node@22', '-c', 'command -v node'];
    const { stdout } = await exec('npx', asked, { timeout: LOOKUP_MS });
    return stdout.trim();
  } catch {
    console.error('no Node.js with reusePort: that several processes share a port is not tested');
    return undefined;
  }
}
