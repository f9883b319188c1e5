export function board(): Promise<string>;
