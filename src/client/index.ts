export { McpClient } from './client.js';
export { rawJson, type Arguments } from './message.js';
export type { Answerer, Era, JsonObject, McpError, Outcome, Question, Reply } from './types.js';
