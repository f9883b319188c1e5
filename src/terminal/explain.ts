/** A command that cannot run. Its message is shown without a stack trace. */
export class Refusal extends Error {
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
  }
}

/** Replaces control characters, which a terminal would interpret, and characters that reorder what stands around them; keeps line breaks. */
export function printable(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** The same, in one line: a text of others cannot pretend to be a line of its own. */
export function printableLine(text: string): string {
  return printable(text.replace(/\s+/g, ' '));
}

/** JSON that a terminal shows as it is. It has the same value: what `printable` replaces is escaped. */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
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
