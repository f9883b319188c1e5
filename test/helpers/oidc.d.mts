export interface Oidc {
  readonly issuer: string;
  /** The path of every request so far. */
  readonly asked: string[];
  /** The signing key, whose kid is `one`. */
  readonly privateKey: Record<string, string>;
  /** Answers nothing any more, until `up()`. */
  down(): void;
  up(): void;
  close(): void;
}

/** `ttl`: seconds that a token lives; `opaque`: ends of resources whose tokens are opaque. */
export function startOidc(options?: { ttl?: number; opaque?: string[]; groups?: string[] }): Promise<Oidc>;
