/**
 * Cookies that a server, or the load balancer before it, sets on one link (RFC 6265): name and value, for the origin that set them, in
 * memory. Load balancers find the replica with the session by them.
 */
const MAX_COOKIES = 16;
/** The largest cookie, name and value, in bytes. */
const MAX_BYTES = 4096;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\x21-\x3a\x3c-\x7e]*$/;

export class Cookies {
  readonly #byName = new Map<string, string>();
  #origin = '';

  /** Takes the `Set-Cookie` headers of an answer from `origin`. Returns whether the `Cookie` header changed. */
  take(lines: string | readonly string[], origin: string): boolean {
    const before = this.header(this.#origin);
    if (origin !== this.#origin) this.#byName.clear();
    this.#origin = origin;
    for (const line of typeof lines === 'string' ? [lines] : lines) this.#takeOne(line);
    return this.header(origin) !== before;
  }

  /** The value of `Cookie` for a request to `origin`; '' if there is none. */
  header(origin: string): string {
    if (origin !== this.#origin) return '';
    return [...this.#byName].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #takeOne(line: string): void {
    const [pair = '', ...attributes] = line.split(';', 32);
    const at = pair.indexOf('=');
    const [name, value] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    if (at < 1 || pair.length > MAX_BYTES || !NAME.test(name) || !VALUE.test(value)) return;
    let isOver = false;
    let maxAge: number | undefined;
    for (const attribute of attributes) {
      const [key = '', text = ''] = attribute.split('=', 2).map((each) => each.trim());
      switch (key.toLowerCase()) {
        case 'secure':
          if (!this.#origin.startsWith('https:')) return;
          break;
        case 'max-age':
          if (/^-?\d+$/.test(text)) maxAge = Number(text);
          break;
        case 'expires':
          isOver = Date.parse(text) <= Date.now();
          break;
        default:
      }
    }
    // Max-Age takes precedence over Expires (RFC 6265, 5.3).
    if (maxAge !== undefined) isOver = maxAge <= 0;
    this.#byName.delete(name);
    if (isOver) return;
    this.#byName.set(name, value);
    if (this.#byName.size > MAX_COOKIES) this.#byName.delete(this.#byName.keys().next().value as string);
  }
}
