/** A command that cannot run. Its message is shown without a stack trace. */
export class Refusal extends Error {
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
  }
}

/** Replaces control characters, which a terminal would interpret; keeps line breaks. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
}

/** Describes an error in one line (a ConfigError: one line per problem), with a fix if there is one. */
export function explain(error: unknown, env: NodeJS.ProcessEnv): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof Refusal) return error.message;
  // Compared by name, because importing the class would load all of src/config.
  if (error.name === 'ConfigError') return error.message;
  if (env['MCPSTEAD_LOG_LEVEL'] === 'trace' && error.stack !== undefined) return error.stack;
  return (listening(error) ?? error.message).replace(/\s*\n\s*/g, ' ');
}

/** `setting`: `admin` for the port of operators. */
type ListenError = NodeJS.ErrnoException & { address?: string; port?: number; setting?: string };

function listening(error: ListenError): string | undefined {
  if (error.syscall !== 'listen' && error.syscall !== 'getaddrinfo') return undefined;
  const { code, address = '', port } = error;
  const isAdmin = error.setting === 'admin';
  const other = isAdmin
    ? 'set another with admin.port in the config'
    : 'set another with port: in the config or MCPSTEAD_PORT';
  const host = isAdmin ? 'admin.host in the config' : 'host: in the config or MCPSTEAD_HOST';
  switch (code ?? '') {
    case 'EADDRINUSE':
      return `port ${port} on ${address} is already in use: stop the other program, or ${other}`;
    case 'EACCES':
      return `not allowed to listen on port ${port}: ${other}`;
    case 'EADDRNOTAVAIL':
      return `${address} is not an address of this machine: fix ${host}`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `host ${(error as { hostname?: string }).hostname ?? ''} has no address: fix ${host}`;
    default:
      return undefined;
  }
}
