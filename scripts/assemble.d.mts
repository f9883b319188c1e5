/** The text of the TypeScript module that holds the assembled bytes of `src/wire/wasm/<name>.wat`. */
export function assembled(name: string): Promise<string>;
