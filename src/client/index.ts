export { McpClient } from './client.js';
export { rawJson, type Arguments } from './message.js';
export type {
  Answerer,
  ClientOptions,
  Era,
  JsonObject,
  McpError,
  Outcome,
  Question,
  Reply,
  WireMessage,
} from './types.js';
