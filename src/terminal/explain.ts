/** A command line that cannot be carried out; the message is all its author needs. */
export class Refusal extends Error {
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
  }
}

/** Without control characters: a terminal would obey them. Lines stay lines. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
}

/** What went wrong, in one line (a config: one line a problem), with the way out where there is one. */
export function explain(error: unknown, env: NodeJS.ProcessEnv): string {
  if (!(error instanceof Error)) return String(error);
  // By name: the class would load the whole of config for a mistyped flag.
  if (error.name === 'ConfigError') return error.message;
  if (env['MCPSTEAD_LOG_LEVEL'] === 'trace' && error.stack !== undefined) return error.stack;
  return (listening(error) ?? error.message).replace(/\s*\n\s*/g, ' ');
}

function listening(error: NodeJS.ErrnoException & { address?: string; port?: number }): string | undefined {
  if (error.syscall !== 'listen' && error.syscall !== 'getaddrinfo') return undefined;
  const { code, address = '', port } = error;
  const other = 'set another with port: in the config or MCPSTEAD_PORT';
  switch (code ?? '') {
    case 'EADDRINUSE':
      return `port ${port} on ${address} is already in use: stop what listens there, or ${other}`;
    case 'EACCES':
      return `not allowed to listen on port ${port}: ${other}`;
    case 'EADDRNOTAVAIL':
      return `${address} is no address of this machine: correct host: in the config or MCPSTEAD_HOST`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `host ${(error as { hostname?: string }).hostname ?? ''} has no address: correct host: in the config or MCPSTEAD_HOST`;
    default:
      return undefined;
  }
}
