import { ownToken } from '../config/token.js';
import { joinGateway } from '../downstream/join.js';
import { silent, type Logger } from '../observe/log.js';
import { printableLine, Refusal } from '../terminal/explain.js';
import { handleUncaught } from './uncaught.js';
import { untilStopped } from '../terminal/signals.js';
import type { Terminal } from '../terminal/terminal.js';

/** How long pending answers may take after the client has left. */
const GRACE_MS = 5000;

/** Connects the client that started this process to a running gateway, until the client leaves. */
export async function join(written: string, terminal: Terminal): Promise<number> {
  const joined = joinGateway(
    {
      url: endpoint(written),
      token: ownToken(terminal.env),
      log: (text) => {
        terminal.err(`${printableLine(text)}\n`);
      },
    },
    terminal.stdin,
    terminal.stdout,
  );
  const logger: Logger = {
    ...silent,
    error: (text, fields) => {
      terminal.err(`${printableLine(`${text}: ${String(fields?.['error'])}`)}\n`);
    },
  };
  const uncaught = handleUncaught({ logger, drain: () => joined.close(GRACE_MS), exit: terminal.exit });
  const running = {
    close: () => joined.close(GRACE_MS),
    reload: () => Promise.resolve(),
    failed: new Promise<Error>(() => undefined),
  };
  try {
    await Promise.race([joined.left, untilStopped(running, terminal.exit)]);
    await running.close();
    return 0;
  } finally {
    uncaught.release();
  }
}

function endpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new Refusal(`--url must be an http or https URL, not '${text}'`, 2);
  if (url.pathname === '/') url.pathname = '/mcp';
  return url;
}
