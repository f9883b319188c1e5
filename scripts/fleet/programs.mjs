// The programs that a fleet on one machine needs besides Node.js.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where programs are that a user's PATH often lacks. */
const FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin'];

const HOW = {
  'redis-server': 'apt-get install redis-server, or brew install redis',
  haproxy: 'apt-get install haproxy, or brew install haproxy; or use -- --balancer nginx',
  'redis-cli': 'it comes with redis-server (Debian: apt-get install redis-tools)',
  nginx: 'apt-get install nginx, or brew install nginx; or use -- --balancer haproxy',
};

/** What keeps a command from running, with the way out. */
export class Refusal extends Error {}

/** undefined: it is not installed. */
export function pathOf(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...FOLDERS].filter((each) => each !== '');
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Throws a Refusal that says how to install it. */
export function programOf(name) {
  const path = pathOf(name);
  if (path === undefined)
    throw new Refusal(`${name} is not installed, and a fleet on this machine needs it: ${HOW[name]}`);
  return path;
}
