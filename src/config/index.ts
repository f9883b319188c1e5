export { isLoopback, isSecure, networkOf } from './address.js';
export { proxyFromEnvironment } from './environment.js';
export { credentialsChanged, diffConfig, keepFixed } from './diff.js';
export { loadConfig, resolveConfig } from './load.js';
export { ConfigError, type ConfigProblem } from './problems.js';
export { redactUrl } from './redact.js';
export type { LoadedConfig } from './resolve.js';
export type { ConfigInput } from './schema.js';
export type * from './types.js';
