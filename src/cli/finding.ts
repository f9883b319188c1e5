/** What `mcpstead doctor` finds. */
export interface Finding {
  /** `node`, `config`, the name of a server or a client. */
  readonly what: string;
  readonly level: 'ok' | 'note' | 'problem';
  readonly text: string;
}
