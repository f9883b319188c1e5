import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Logger } from '../../observe/log.js';
import { monotonic } from '../../lib/clock.js';

/** Ends the process groups of children when the gateway ends, even when it is killed. One per gateway. */
export interface Watcher {
  add(group: number): void;
  remove(group: number): void;
  /** Resolves when all groups were removed, at the latest after `ms`. */
  gone(ms: number): Promise<void>;
  /** Kills the groups that were not removed. */
  close(): void;
}

/**
 * Reads "+ group" and "- group". Its input ends when the gateway does, even when that was killed: then it sends SIGTERM to the groups that
 * are left and, a second later, SIGKILL.
 */
const SCRIPT = `trap '' INT TERM HUP
groups=
while read -r what group; do
  case $what in
    +) groups="$groups $group" ;;
    -) left=
       for each in $groups; do [ "$each" = "$group" ] || left="$left $each"; done
       groups=$left ;;
  esac
done
[ -n "$groups" ] || exit 0
for each in $groups; do kill -s TERM -- "-$each"; done
sleep 1
for each in $groups; do kill -s KILL -- "-$each"; done`;

/** A shell that ends sooner than this does not work at all, in ms. */
const TOO_SOON_MS = 1000;

export function createWatcher(deps: { logger: Logger; shell?: string }): Watcher {
  const groups = new Set<number>();
  let shell: ChildProcess | undefined;
  const waiting = new Set<() => void>();
  let given = process.platform === 'win32';

  function giveUp(why: string): void {
    if (given) return;
    given = true;
    deps.logger.warn(
      'no shell watches the stdio servers: if the gateway is killed, they notice only the end of their input',
      { reason: why },
    );
  }

  function start(): void {
    const started = monotonic.now();
    let child: ChildProcess;
    try {
      child = spawn(deps.shell ?? '/bin/sh', ['-c', SCRIPT], {
        cwd: '/',
        env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
        // A group of its own: a signal to the gateway's group must not end the watcher.
        detached: true,
        stdio: ['pipe', 'ignore', 'ignore'],
      });
    } catch (error) {
      return giveUp((error as Error).message);
    }
    shell = child;
    // Neither it nor the pipe keeps the gateway alive.
    child.unref();
    (child.stdin as unknown as { unref(): void }).unref();
    child.stdin?.on('error', () => {});
    child.once('error', (error) => {
      if (shell === child) shell = undefined;
      giveUp(error.message);
    });
    child.once('exit', () => {
      if (shell !== child) return;
      shell = undefined;
      if (monotonic.now() - started < TOO_SOON_MS) giveUp('the shell ended at once');
      else if (groups.size > 0) start();
    });
    for (const group of groups) tell('+', group);
  }

  function tell(what: '+' | '-', group: number): void {
    shell?.stdin?.write(`${what} ${group}\n`);
  }

  return {
    add(group) {
      groups.add(group);
      if (given) return;
      if (shell) tell('+', group);
      else start();
    },
    remove(group) {
      if (groups.delete(group)) tell('-', group);
      if (groups.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
    async gone(ms) {
      if (groups.size === 0) return;
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        waiting.add(resolve);
        timer = setTimeout(resolve, ms);
      });
      clearTimeout(timer);
    },
    close() {
      given = true;
      groups.clear();
      shell?.stdin?.end();
      shell = undefined;
    },
  };
}
