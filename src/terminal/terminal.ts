import type { Readable, Writable } from 'node:stream';

/** The process, as commands see it. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly stdin: Readable;
  readonly stdout: Writable;
  /** Which of stdin, stdout and stderr are terminals. */
  readonly tty: { readonly in: boolean; readonly out: boolean; readonly err: boolean };
  /** Ends the process at once. */
  readonly exit: (status: number) => void;
}
