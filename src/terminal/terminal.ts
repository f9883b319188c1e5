import type { Readable, Writable } from 'node:stream';

/** What a command may touch of its process. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly stdin: Readable;
  readonly stdout: Writable;
  /** Ends the process without waiting for anything. */
  readonly exit: (status: number) => void;
}
