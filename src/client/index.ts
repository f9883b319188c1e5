export { McpClient, type ListKind } from './client.js';
export { rawJson, valueOf, type Arguments, type RawJson } from './message.js';
export { SseReader, type SseEvent } from './sse.js';
export {
  failed,
  MAX_ANSWER,
  objectOf,
  REVISIONS,
  type Answerer,
  type ClientOptions,
  type Era,
  type JsonObject,
  type LogMessage,
  type McpError,
  type Outcome,
  type Page,
  type Progress,
  type Question,
  type Reply,
  type RequestOptions,
  type WireMessage,
} from './types.js';
