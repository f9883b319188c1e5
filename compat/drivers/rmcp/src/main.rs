//! A driver for the client of rmcp: requests on stdin, answers and events on stdout, one JSON object a line.
#![allow(deprecated)]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::model::*;
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt, NotificationContext, RequestContext, RoleClient, RunningService,
    ServiceError,
};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, ErrorData};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Notify;

type Running = RunningService<RoleClient, Client>;

/// The calls that are under way, each with what cancels it at the first progress if it asked for that.
type Calls = Arc<Mutex<BTreeMap<u64, Option<Arc<Notify>>>>>;

fn write(message: Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{message}");
    let _ = out.flush();
}

fn event(kind: &str, of: Option<u64>, value: Value) {
    write(json!({ "event": kind, "of": of, "value": value }));
}

fn plain(value: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(value).unwrap_or(Value::Null);
    if let Some(object) = value.as_object_mut() {
        object.remove("_meta");
    }
    value
}

fn question(method: &str, params: Value) {
    event("question", None, json!({ "method": method, "params": params }));
}

fn from<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| Failure::Other(error.to_string()))
}

#[derive(Clone)]
struct Client {
    calls: Calls,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        serde_json::from_value(json!({
            "protocolVersion": "2025-11-25",
            "clientInfo": { "name": "compat-rmcp", "version": "1.0.0" },
            "capabilities": { "roots": { "listChanged": true }, "sampling": {}, "elicitation": { "form": {}, "url": {} } },
        }))
        .expect("the driver's own JSON is of the SDK's shape")
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        question("sampling/createMessage", plain(&params));
        Ok(
            CreateMessageResult::new(SamplingMessage::assistant_text("sampled"), "compat".into())
                .with_stop_reason("endTurn"),
        )
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        question("roots/list", Value::Null);
        serde_json::from_value(json!({ "roots": [{ "uri": "file:///compat", "name": "compat" }] }))
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let params = plain(&request);
        let result = ElicitResult::new(ElicitationAction::Accept);
        let form = params["requestedSchema"]
            .is_object()
            .then(|| fill(&params["requestedSchema"]));
        question("elicitation/create", params);
        Ok(match form {
            Some(content) => result.with_content(content),
            None => result,
        })
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let mut value = plain(&params);
        if let Some(object) = value.as_object_mut() {
            object.remove("progressToken");
        }
        // The SDK chooses the tokens itself and does not say them: progress belongs to the one call that is under way.
        let call = {
            let calls = self.calls.lock().unwrap();
            calls
                .iter()
                .next()
                .filter(|_| calls.len() == 1)
                .map(|(id, cancel)| (*id, cancel.clone()))
        };
        event("progress", call.as_ref().map(|(id, _)| *id), value);
        if let Some((_, Some(cancel))) = call {
            cancel.notify_one();
        }
    }

    async fn on_logging_message(&self, params: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        event("log", None, plain(&params));
    }

    async fn on_resource_updated(&self, params: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        event("updated", None, plain(&params));
    }

    async fn on_resource_list_changed(&self, _: NotificationContext<RoleClient>) {
        event("changed", None, json!("resources"));
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        event("changed", None, json!("tools"));
    }

    async fn on_prompt_list_changed(&self, _: NotificationContext<RoleClient>) {
        event("changed", None, json!("prompts"));
    }
}

/// The first valid content of a form.
fn fill(schema: &Value) -> Value {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    properties
        .iter()
        .map(|(name, property)| (name.clone(), first(property)))
        .collect::<Map<_, _>>()
        .into()
}

fn first(property: &Value) -> Value {
    if let Some(value) = property["enum"].get(0) {
        return value.clone();
    }
    if let Some(option) = property["oneOf"].get(0).or(property["anyOf"].get(0)) {
        return option["const"].clone();
    }
    match (property["type"].as_str(), property["format"].as_str()) {
        (Some("number" | "integer"), _) => property.get("minimum").cloned().unwrap_or(json!(1)),
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) => json!([first(&property["items"])]),
        (_, Some("email")) => json!("a@example.com"),
        (_, Some("uri")) => json!("https://example.com/"),
        (_, Some("date")) => json!("2026-01-01"),
        (_, Some("date-time")) => json!("2026-01-01T00:00:00Z"),
        _ => json!("text"),
    }
}

enum Failure {
    Said(ErrorData),
    Unsupported(&'static str),
    Cancelled,
    Other(String),
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(said) => Failure::Said(said),
            other => Failure::Other(other.to_string()),
        }
    }
}

struct Session {
    running: Running,
    modern: bool,
    subscriptions: Mutex<BTreeMap<String, tokio::task::JoinHandle<()>>>,
}

async fn connect(request: &Value, calls: Calls) -> Result<(Session, Value), Failure> {
    let target = &request["target"];
    let lifecycle = match request["era"].as_str() {
        Some("modern") => ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: None,
        },
        _ => ClientLifecycleMode::Initialize,
    };
    let client = Client { calls };
    let failed = |error: rmcp::service::ClientInitializeError| Failure::Other(error.to_string());
    let running = if let Some(command) = target["command"].as_str() {
        let mut process = tokio::process::Command::new(command);
        for argument in target["args"].as_array().into_iter().flatten() {
            process.arg(argument.as_str().unwrap_or_default());
        }
        for (name, value) in target["env"].as_object().into_iter().flatten() {
            process.env(name, value.as_str().unwrap_or_default());
        }
        let transport = TokioChildProcess::new(process).map_err(|error| Failure::Other(error.to_string()))?;
        client
            .serve_with_lifecycle(transport, lifecycle)
            .await
            .map_err(failed)?
    } else if target["kind"] == "sse" {
        return Err(Failure::Unsupported("the SDK has no client for HTTP+SSE"));
    } else {
        let transport = StreamableHttpClientTransport::from_uri(target["url"].as_str().unwrap_or_default());
        client
            .serve_with_lifecycle(transport, lifecycle)
            .await
            .map_err(failed)?
    };
    let info = running.peer_info();
    let seen = info
        .as_ref()
        .map(|info| serde_json::to_value(info.as_ref()).unwrap_or_default())
        .unwrap_or_default();
    let modern = seen["protocolVersion"]
        .as_str()
        .is_some_and(|version| version >= "2026-07-28");
    let value = json!({ "protocolVersion": seen["protocolVersion"], "serverInfo": seen["serverInfo"],
        "capabilities": seen["capabilities"], "instructions": seen["instructions"] });
    let session = Session {
        running,
        modern,
        subscriptions: Mutex::default(),
    };
    if modern {
        let all = from(json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true }))?;
        let _ = listen(&session, "", all).await;
    }
    Ok((session, value))
}

/// In 2026-07-28 a subscription is a stream of its own.
async fn listen(session: &Session, name: &str, filter: SubscriptionFilter) -> Result<(), Failure> {
    let mut subscription = session.running.peer().listen(filter).await?;
    let task = tokio::spawn(async move {
        while let Ok(Some(note)) = subscription.next().await {
            let note = serde_json::to_value(&note).unwrap_or_default();
            let method = note["method"].as_str().unwrap_or_default();
            let of = method
                .trim_start_matches("notifications/")
                .trim_end_matches("/list_changed");
            match of {
                "resources/updated" => event("updated", None, plain(&note["params"])),
                _ => event("changed", None, json!(of)),
            }
        }
    });
    if let Some(before) = session.subscriptions.lock().unwrap().insert(name.to_string(), task) {
        before.abort();
    }
    Ok(())
}

fn ok(value: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::Other(error.to_string()))
}

async fn call(session: &Session, request: &Value, calls: &Calls) -> Result<Value, Failure> {
    let id = request["id"].as_u64().unwrap_or_default();
    let params = from(json!({ "name": request["name"], "arguments": request["arguments"] }))?;
    let cancel = Arc::new(Notify::new());
    let at_progress = request["cancelOnProgress"] == true;
    calls.lock().unwrap().insert(id, at_progress.then(|| cancel.clone()));
    let timer = request["cancelAfterMs"]
        .as_u64()
        .map(Duration::from_millis)
        .unwrap_or(Duration::from_secs(3600));
    // A call whose future is dropped is cancelled by the SDK.
    let result = tokio::select! {
        result = session.running.call_tool(params) => Some(result),
        () = cancel.notified() => None,
        () = tokio::time::sleep(timer) => None,
    };
    calls.lock().unwrap().remove(&id);
    match result {
        Some(result) => ok(result?),
        None => Err(Failure::Cancelled),
    }
}

async fn run(session: &Session, request: &Value, calls: &Calls) -> Result<Value, Failure> {
    let peer = session.running.peer();
    let uri = request["uri"].as_str().unwrap_or_default();
    match request["do"].as_str().unwrap_or_default() {
        "tools" => ok(peer.list_all_tools().await?),
        "resources" => ok(peer.list_all_resources().await?),
        "templates" => ok(peer.list_all_resource_templates().await?),
        "prompts" => ok(peer.list_all_prompts().await?),
        "call" => call(session, request, calls).await,
        "read" => ok(session.running.read_resource(from(json!({ "uri": uri }))?).await?),
        "prompt" => {
            let params = json!({ "name": request["name"], "arguments": request["arguments"] });
            ok(session.running.get_prompt(from(params)?).await?)
        }
        "complete" => {
            let params = json!({ "ref": request["ref"], "argument": request["argument"] });
            ok(peer.complete(from(params)?).await?)
        }
        "subscribe" if session.modern => {
            listen(session, uri, from(json!({ "resourceSubscriptions": [uri] }))?).await?;
            Ok(json!({}))
        }
        "unsubscribe" if session.modern => {
            if let Some(task) = session.subscriptions.lock().unwrap().remove(uri) {
                task.abort();
            }
            Ok(json!({}))
        }
        "subscribe" => {
            peer.subscribe(from(json!({ "uri": uri }))?).await?;
            Ok(json!({}))
        }
        "unsubscribe" => {
            peer.unsubscribe(from(json!({ "uri": uri }))?).await?;
            Ok(json!({}))
        }
        "level" if session.modern => Err(Failure::Unsupported("2026-07-28 has no logging/setLevel")),
        "level" => {
            peer.set_level(from(json!({ "level": request["level"] }))?).await?;
            Ok(json!({}))
        }
        "ping" if session.modern => Err(Failure::Unsupported("2026-07-28 has no ping")),
        "ping" => {
            let ping = ClientRequest::PingRequest(PingRequest::default());
            peer.send_request(ping).await?;
            Ok(json!({}))
        }
        _ => Err(Failure::Unsupported("no such operation")),
    }
}

fn answer(id: &Value, result: Result<Value, Failure>) {
    write(match result {
        Ok(value) => json!({ "id": id, "ok": value }),
        Err(Failure::Unsupported(why)) => json!({ "id": id, "unsupported": why }),
        Err(Failure::Said(said)) => json!({ "id": id, "error": said }),
        Err(Failure::Cancelled) => {
            json!({ "id": id, "error": { "code": "cancelled", "message": "cancelled by the client" } })
        }
        Err(Failure::Other(message)) => json!({ "id": id, "error": { "code": null, "message": message } }),
    });
}

#[tokio::main]
async fn main() {
    let calls = Calls::default();
    let mut current: Option<Arc<Session>> = None;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(request) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let id = request["id"].clone();
        if request["do"] == "connect" {
            let result = connect(&request, calls.clone()).await;
            answer(
                &id,
                result.map(|(session, value)| {
                    current = Some(Arc::new(session));
                    value
                }),
            );
            continue;
        }
        let Some(session) = current.clone() else {
            answer(&id, Err(Failure::Other("not connected".into())));
            continue;
        };
        if request["do"] == "close" {
            session.running.cancellation_token().cancel();
            current = None;
            drop(session);
            tokio::time::sleep(Duration::from_millis(200)).await;
            answer(&id, Ok(json!({})));
            continue;
        }
        let calls = calls.clone();
        tokio::spawn(async move {
            let result = run(&session, &request, &calls).await;
            answer(&request["id"], result);
        });
    }
    // The connection ends before the process does.
    if let Some(session) = current {
        session.running.cancellation_token().cancel();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    std::process::exit(0);
}
