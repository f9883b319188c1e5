//! A server on rmcp: over stdio, or with `http PORT [json|stateless]` over Streamable HTTP on 127.0.0.1, path /mcp.
//! What older clients are asked with requests, clients of 2026-07-28 are asked with results of `input_required`.
#![allow(deprecated)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::model::*;
use rmcp::service::{Peer, RequestContext, RoleServer, SubscriptionContext};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use rmcp::{ErrorData, ServerHandler, ServiceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::broadcast;

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const COUNTER: &str = "compat://counter";

/// What all sessions share: who subscribed the counter, and that it was touched.
#[derive(Clone)]
struct Compat {
    subscribers: Arc<Mutex<Vec<Peer<RoleServer>>>>,
    touched: broadcast::Sender<()>,
    count: Arc<Mutex<u32>>,
}

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the server's own JSON is of the SDK's shape")
}

fn bad(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn said(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text.into())]).into()
}

fn tool(name: &str, description: &str, properties: Value, required: Value) -> Value {
    json!({ "name": name, "description": description,
        "inputSchema": { "type": "object", "properties": properties, "required": required } })
}

fn form() -> Value {
    json!({ "type": "object", "required": ["name", "count"], "properties": {
        "name": { "type": "string" },
        "count": { "type": "integer", "minimum": 3 },
        "sure": { "type": "boolean" },
        "colour": { "type": "string", "enum": ["red", "green"] },
    } })
}

fn elicitation() -> ElicitRequestParams {
    from(json!({ "mode": "form", "message": "Who are you?", "requestedSchema": form() }))
}

fn sampling() -> CreateMessageRequestParams {
    CreateMessageRequestParams::new(vec![SamplingMessage::user_text("Say something")], 100)
}

fn modern(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= "2026-07-28")
}

/// Asks a client of 2026-07-28: its answer comes with the same call made once more.
fn need(request: InputRequest) -> CallToolResponse {
    let mut requests = InputRequests::new();
    requests.insert("q".to_string(), request);
    InputRequiredResult::new(Some(requests), Some("asked".into())).into()
}

impl Compat {
    async fn progress(&self, context: &RequestContext<RoleServer>, done: f64, total: f64, message: String) {
        if let Some(token) = context.meta.get_progress_token() {
            let note = ProgressNotificationParam::new(token, done)
                .with_total(total)
                .with_message(message);
            let _ = context.peer.notify_progress(note).await;
        }
    }

    fn answer(request: &CallToolRequestParams) -> Option<Value> {
        let responses = serde_json::to_value(request.input_responses.as_ref()?).ok()?;
        responses.get("q").cloned()
    }
}

impl ServerHandler for Compat {
    fn get_info(&self) -> ServerConfig {
        let capabilities = from(json!({
            "tools": { "listChanged": true }, "resources": { "subscribe": true, "listChanged": true },
            "prompts": { "listChanged": true }, "logging": {}, "completions": {},
        }));
        ServerConfig::new(capabilities)
            .with_server_info(from(json!({ "name": "compat-rmcp", "version": "1.0.0" })))
            .with_instructions("A server of the compatibility matrix.")
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let none = || json!({});
        let mut structured = tool("structured", "Structured output", none(), json!([]));
        structured["outputSchema"] = json!({ "type": "object", "required": ["answer", "list"], "properties": {
            "answer": { "type": "integer" }, "list": { "type": "array", "items": { "type": "string" } } } });
        Ok(from(json!({ "tools": [
            tool("echo", "Gives the text back", json!({ "text": { "type": "string" } }), json!(["text"])),
            structured,
            tool("image", "One pixel", none(), json!([])),
            tool("fail", "An error result", none(), json!([])),
            tool("progress", "Reports its steps", json!({ "steps": { "type": "integer" } }), json!(["steps"])),
            tool("log", "Logs a line", none(), json!([])),
            tool("wait", "Waits until it is cancelled", json!({ "ms": { "type": "integer" } }), json!(["ms"])),
            tool("ask", "Asks for a form", none(), json!([])),
            tool("sample", "Asks for a sampling", none(), json!([])),
            tool("roots", "Asks for the roots", none(), json!([])),
            tool("touch", "Updates the counter", none(), json!([])),
        ] })))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.clone().unwrap_or_default());
        let number = |name: &str| {
            arguments[name]
                .as_u64()
                .ok_or_else(|| ErrorData::invalid_params(format!("{name} is missing"), None))
        };
        match request.name.as_ref() {
            "echo" => match arguments["text"].as_str() {
                Some(text) => Ok(said(text)),
                None => Err(ErrorData::invalid_params("text is missing", None)),
            },
            "structured" => Ok(CallToolResult::structured(json!({ "answer": 42, "list": ["a", "b"] })).into()),
            "image" => Ok(CallToolResult::success(vec![from(
                json!({ "type": "image", "data": PIXEL, "mimeType": "image/png" }),
            )])
            .into()),
            "fail" => Ok(CallToolResult::error(vec![ContentBlock::text("it failed")]).into()),
            "progress" => {
                let steps = number("steps")?;
                for step in 1..=steps {
                    self.progress(&context, step as f64, steps as f64, format!("step {step}"))
                        .await;
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                Ok(said(format!("{steps} steps")))
            }
            "log" => {
                let note = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!("hello log"));
                let _ = context.peer.notify_logging_message(note).await;
                Ok(said("logged"))
            }
            "wait" => {
                let ms = number("ms")?;
                self.progress(&context, 0.0, 1.0, "waiting".into()).await;
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(ms)) => Ok(said("waited")),
                    () = context.ct.cancelled() => {
                        eprintln!("cancelled");
                        Ok(said("cancelled"))
                    }
                }
            }
            "ask" => {
                let answer = if modern(&context) {
                    match Self::answer(&request) {
                        Some(answer) => answer,
                        None => return Ok(need(InputRequest::Elicitation(ElicitRequest::new(elicitation())))),
                    }
                } else {
                    let answer = context.peer.create_elicitation(elicitation()).await.map_err(bad)?;
                    serde_json::to_value(answer).map_err(bad)?
                };
                Ok(said(
                    json!({ "action": answer["action"], "content": answer["content"] }).to_string(),
                ))
            }
            "sample" => {
                let answer = if modern(&context) {
                    match Self::answer(&request) {
                        Some(answer) => answer,
                        None => return Ok(need(InputRequest::CreateMessage(CreateMessageRequest::new(sampling())))),
                    }
                } else {
                    let answer = context.peer.create_message(sampling()).await.map_err(bad)?;
                    serde_json::to_value(answer).map_err(bad)?
                };
                Ok(said(answer["content"]["text"].as_str().unwrap_or("no text")))
            }
            "roots" => {
                let answer = if modern(&context) {
                    match Self::answer(&request) {
                        Some(answer) => answer,
                        None => return Ok(need(InputRequest::ListRoots(ListRootsRequest::default()))),
                    }
                } else {
                    serde_json::to_value(context.peer.list_roots().await.map_err(bad)?).map_err(bad)?
                };
                let roots = answer["roots"].as_array().cloned().unwrap_or_default();
                let uris: Vec<Value> = roots.iter().map(|root| root["uri"].clone()).collect();
                Ok(said(json!(uris).to_string()))
            }
            "touch" => {
                *self.count.lock().unwrap() += 1;
                let _ = self.touched.send(());
                let subscribers = self.subscribers.lock().unwrap().clone();
                for peer in subscribers {
                    let _ = peer
                        .notify_resource_updated(ResourceUpdatedNotificationParam::new(COUNTER))
                        .await;
                }
                Ok(said("touched"))
            }
            other => Err(ErrorData::invalid_params(format!("no tool {other}"), None)),
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(from(json!({ "resources": [
            { "uri": "compat://text", "name": "text", "mimeType": "text/plain" },
            { "uri": "compat://binary", "name": "binary", "mimeType": "application/octet-stream" },
            { "uri": COUNTER, "name": "counter", "mimeType": "text/plain" },
        ] })))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(from(json!({ "resourceTemplates": [
            { "uriTemplate": "compat://item/{id}", "name": "item", "mimeType": "text/plain" },
        ] })))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.clone();
        let contents = match uri.as_str() {
            "compat://text" => ResourceContents::text("plain text", uri).with_mime_type("text/plain"),
            "compat://binary" => ResourceContents::blob("AAEC/w==", uri).with_mime_type("application/octet-stream"),
            COUNTER => ResourceContents::text(self.count.lock().unwrap().to_string(), uri).with_mime_type("text/plain"),
            _ => match uri.strip_prefix("compat://item/") {
                Some(id) => ResourceContents::text(format!("item {id}"), uri.clone()).with_mime_type("text/plain"),
                None => {
                    return Err(ErrorData::resource_not_found(
                        "no such resource",
                        Some(json!({ "uri": uri })),
                    ));
                }
            },
        };
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.subscribers.lock().unwrap().push(context.peer);
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.subscribers.lock().unwrap().clear();
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut touched = self.touched.subscribe();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                _ = touched.recv() => {
                    let _ = context.sink().notify_resource_updated(COUNTER).await;
                }
            }
        }
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(from(json!({ "prompts": [
            { "name": "greet", "description": "Greets", "arguments": [{ "name": "name", "required": true }] },
        ] })))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name != "greet" {
            return Err(ErrorData::invalid_params(format!("no prompt {}", request.name), None));
        }
        let arguments = serde_json::to_value(&request.arguments).unwrap_or_default();
        let name = arguments["name"].as_str().unwrap_or("nobody").to_string();
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, format!("Greet {name}"))]).into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let names = ["anna", "ben", "bert"];
        let values = names.iter().filter(|name| name.starts_with(&request.argument.value));
        let values = values.map(|name| name.to_string()).collect();
        Ok(CompleteResult::new(
            CompletionInfo::with_all_values(values).map_err(bad)?,
        ))
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (touched, _) = broadcast::channel(16);
    let server = Compat {
        subscribers: Arc::default(),
        touched,
        count: Arc::default(),
    };
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) != Some("http") {
        server.serve(rmcp::transport::stdio()).await?.waiting().await?;
        return Ok(());
    }
    let port: u16 = arguments.get(2).ok_or("http needs a port")?.parse()?;
    let mut config = StreamableHttpServerConfig::default();
    if let Some(kind) = arguments.get(3) {
        config.legacy_session_mode = false;
        config.json_response = kind == "json";
    }
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?;
    Ok(())
}
