export { isLoopback } from './address.js';
export { diffConfig, type ConfigDiff } from './diff.js';
export { loadConfig, resolveConfig } from './load.js';
export { ConfigError, type ConfigProblem } from './problems.js';
export { maskSecrets, redactUrl, secretsOf } from './redact.js';
export type { LoadedConfig } from './resolve.js';
export type { ConfigInput } from './schema.js';
export type * from './types.js';
