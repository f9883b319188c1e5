export { namesPeople } from './access.js';
export { isLoopback, isSecure, networkOf } from './address.js';
export { proxyFromEnvironment } from './environment.js';
export { credentialsChanged, diffConfig, keepFixed } from './diff.js';
export { discoveryProblem, exposedRoute } from './discovery.js';
export { loadConfig, loadText, resolveConfig } from './load.js';
export {
  groupsNamed,
  issuerOfGateway,
  issuerUrl,
  loginProblem,
  principalPrefix,
  providerOfLogin,
  scopesNamed,
} from './login.js';
export { maskText, unmaskText } from './masked-text.js';
export { ConfigError, type ConfigProblem } from './problems.js';
export { redactUrl } from './redact.js';
export { secretsIn, shownConfig } from './shown.js';
export type { LoadedConfig } from './resolve.js';
export type { ConfigInput } from './schema.js';
export type * from './types.js';
export { isForbiddenScheme } from './redirect-schemes.js';
